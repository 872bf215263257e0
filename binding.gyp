{
  # prebuildify calls `node-gyp rebuild`. This target passes the build on to CMake.
  'targets': [
    {
      'target_name': 'safelight',
      'type': 'none',
      'actions': [
        {
          'action_name': 'cmake_js',
          'inputs': ['CMakeLists.txt'],
          'outputs': ['<(PRODUCT_DIR)/safelight.node'],
          'action': ['node', 'scripts/build-native.mjs', '--cpu'],
        },
      ],
    },
  ],
}
