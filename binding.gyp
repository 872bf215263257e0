{
  # For prebuildify, which calls `node-gyp rebuild`: the build itself is CMake's.
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
