// A simulated GPU for tests on machines without one: ggml's CPU backend with separate memory that the host must not access, so that
// ggml's scheduler treats it as a GPU. Linked into a separate addon (build/test-device/safelight-vulkan.node), not into the package's.
//
//   SAFELIGHT_TEST_DEVICES=2         number of devices; default 1
//   SAFELIGHT_TEST_DEVICE_BYTES=N    memory per device in bytes; default 16 GiB
//   SAFELIGHT_TEST_DEVICE_LACKS=A,B  operations that the devices do not support, such as SOFT_MAX
//   SAFELIGHT_TEST_DEVICE_REFUSES=1  index of a device that cannot be opened (null)
//   SAFELIGHT_TEST_DEVICE_WAITS=MS   milliseconds by which each graph is delayed, as while a driver compiles a shader
//   SAFELIGHT_TEST_DEVICE_ABORTS=1   index of a device that aborts the process when it is opened, like a failed assertion in a driver
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "ggml-backend-impl.h"
#include "ggml-cpu.h"

namespace {

constexpr size_t max_devices = 4;
constexpr size_t page = 4096;

std::string variable(const char * name) {
    const char * text = std::getenv(name);
    return text == nullptr ? "" : text;
}

size_t read_number(const char * name, size_t fallback) {
    std::string text = variable(name);
    return text.empty() ? fallback : static_cast<size_t>(std::stoull(text));
}

struct device_state {
    size_t index = 0;
    std::string name;
    std::atomic<size_t> used{0};
    ggml_backend_buffer_type buffers{};
    ggml_backend_device device{};
};

std::array<device_state, max_devices> & states() {
    static std::array<device_state, max_devices> all;
    return all;
}

device_state & of(ggml_backend_dev_t device) {
    return *static_cast<device_state *>(device->context);
}

// ---- memory that is accessible only while the device computes or data is transferred; any other access crashes the process

struct block {
    device_state & owner;
    void * at;
    size_t size;
};
std::mutex guard;
int openings = 0;
std::set<block *> blocks;

void protect(int protection) {
    for (block * allocated : blocks) {
        mprotect(allocated->at, allocated->size, protection);
    }
}

class access {
  public:
    access() {
        std::lock_guard<std::mutex> lock(guard);
        if (openings++ == 0) protect(PROT_READ | PROT_WRITE);
    }
    ~access() {
        std::lock_guard<std::mutex> lock(guard);
        if (--openings == 0) protect(PROT_NONE);
    }
    access(const access &) = delete;
    access & operator=(const access &) = delete;
};

block & of(ggml_backend_buffer_t buffer) {
    return *static_cast<block *>(buffer->context);
}

ggml_backend_buffer_i buffer_functions() {
    ggml_backend_buffer_i f = {};
    f.free_buffer = [](ggml_backend_buffer_t buffer) {
        block * freed = &of(buffer);
        std::lock_guard<std::mutex> lock(guard);
        munmap(freed->at, freed->size);
        freed->owner.used -= freed->size;
        blocks.erase(freed);
        delete freed;
    };
    f.get_base = [](ggml_backend_buffer_t buffer) { return of(buffer).at; };
    f.memset_tensor = [](ggml_backend_buffer_t, ggml_tensor * t, uint8_t value, size_t offset, size_t size) {
        access open;
        std::memset(static_cast<char *>(t->data) + offset, value, size);
    };
    f.set_tensor = [](ggml_backend_buffer_t, ggml_tensor * t, const void * data, size_t offset, size_t size) {
        access open;
        std::memcpy(static_cast<char *>(t->data) + offset, data, size);
    };
    f.get_tensor = [](ggml_backend_buffer_t, const ggml_tensor * t, void * data, size_t offset, size_t size) {
        access open;
        std::memcpy(data, static_cast<const char *>(t->data) + offset, size);
    };
    f.cpy_tensor = [](ggml_backend_buffer_t to, const ggml_tensor * src, ggml_tensor * dst) {
        if (src->buffer->buft != to->buft) return false;  // on the host or on another device
        access open;
        std::memcpy(dst->data, src->data, ggml_nbytes(src));
        return true;
    };
    f.clear = [](ggml_backend_buffer_t buffer, uint8_t value) {
        access open;
        std::memset(of(buffer).at, value, of(buffer).size);
    };
    return f;
}

ggml_backend_buffer_t allocate(ggml_backend_buffer_type_t type, size_t size) {
    device_state & owner = of(type->device);
    size_t bytes = (std::max<size_t>(size, 1) + page - 1) / page * page;
    if (owner.used + bytes > read_number("SAFELIGHT_TEST_DEVICE_BYTES", size_t{1} << 34)) {
        return nullptr;
    }
    std::lock_guard<std::mutex> lock(guard);
    int allowed = openings > 0 ? PROT_READ | PROT_WRITE : PROT_NONE;
    void * at = mmap(nullptr, bytes, allowed, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) {
        return nullptr;
    }
    owner.used += bytes;
    auto * created = new block{owner, at, bytes};
    blocks.insert(created);
    return ggml_backend_buffer_init(type, buffer_functions(), created, size);
}

// ---- the backend: ggml's CPU backend with access to the memory

ggml_guid identity = {0x73, 0x61, 0x66, 0x65, 0x6c, 0x69, 0x67, 0x68, 0x74, 0x74, 0x65, 0x73, 0x74, 0, 0, 1};

ggml_backend_t open_backend(ggml_backend_dev_t device, const char *) {
    std::string index = std::to_string(of(device).index);
    if (variable("SAFELIGHT_TEST_DEVICE_ABORTS") == index) {
        GGML_ABORT("the driver of the test device gave up");
    }
    if (variable("SAFELIGHT_TEST_DEVICE_REFUSES") == index) {
        return nullptr;
    }
    ggml_backend_t inner = ggml_backend_cpu_init();
    ggml_backend_cpu_set_n_threads(inner, 1);  // with more, each call would start new threads
    ggml_backend_i f = {};
    f.get_name = [](ggml_backend_t) { return "Test"; };
    f.free = [](ggml_backend_t backend) {
        ggml_backend_free(static_cast<ggml_backend_t>(backend->context));
        delete backend;
    };
    f.graph_compute = [](ggml_backend_t backend, ggml_cgraph * graph) {
        std::this_thread::sleep_for(std::chrono::milliseconds(read_number("SAFELIGHT_TEST_DEVICE_WAITS", 0)));
        access open;
        return ggml_backend_graph_compute(static_cast<ggml_backend_t>(backend->context), graph);
    };
    return new ggml_backend{&identity, f, device, inner};
}

bool lacks(const ggml_tensor * op) {
    std::string names = "," + variable("SAFELIGHT_TEST_DEVICE_LACKS") + ",";
    return op->op == GGML_OP_CUSTOM || names.find("," + std::string(ggml_op_name(op->op)) + ",") != std::string::npos;
}

ggml_backend_device_i device_functions() {
    ggml_backend_device_i f = {};
    f.get_name = [](ggml_backend_dev_t device) { return of(device).name.c_str(); };
    f.get_description = [](ggml_backend_dev_t) { return "the CPU as a device, for tests"; };
    f.get_memory = [](ggml_backend_dev_t device, size_t * free, size_t * total) {
        *total = read_number("SAFELIGHT_TEST_DEVICE_BYTES", size_t{1} << 34);
        *free = *total - std::min(*total, of(device).used.load());
    };
    f.get_type = [](ggml_backend_dev_t) { return GGML_BACKEND_DEVICE_TYPE_GPU; };
    f.get_props = [](ggml_backend_dev_t device, ggml_backend_dev_props * props) {
        *props = {};
        props->name = of(device).name.c_str();
        props->description = "the CPU as a device, for tests";
        props->type = GGML_BACKEND_DEVICE_TYPE_GPU;
        ggml_backend_dev_memory(device, &props->memory_free, &props->memory_total);
    };
    f.init_backend = open_backend;
    f.get_buffer_type = [](ggml_backend_dev_t device) { return &of(device).buffers; };
    f.supports_op = [](ggml_backend_dev_t, const ggml_tensor * op) {
        return !lacks(op) &&
               ggml_backend_dev_supports_op(ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU), op);
    };
    f.supports_buft = [](ggml_backend_dev_t device, ggml_backend_buffer_type_t type) {
        return type == &of(device).buffers;
    };
    // Weights in host memory are copied to the device for large products, as on real GPUs.
    f.offload_op = [](ggml_backend_dev_t, const ggml_tensor * op) {
        return op->op == GGML_OP_MUL_MAT && op->ne[1] >= 32 && !lacks(op);
    };
    return f;
}

ggml_backend_reg_t registry() {
    static ggml_backend_reg instance = [] {
        ggml_backend_reg_i f = {};
        f.get_name = [](ggml_backend_reg_t) { return "Vulkan"; };
        f.get_device_count = [](ggml_backend_reg_t) {
            return std::min(max_devices, read_number("SAFELIGHT_TEST_DEVICES", 1));
        };
        f.get_device = [](ggml_backend_reg_t reg, size_t index) -> ggml_backend_dev_t {
            device_state & state = states().at(index);
            if (state.name.empty()) {
                state.index = index;
                state.name = "Test" + std::to_string(index);
                state.device = {device_functions(), reg, &state};
                ggml_backend_buffer_type_i b = {};
                b.get_name = [](ggml_backend_buffer_type_t) { return "Test"; };
                b.alloc_buffer = allocate;
                b.get_alignment = [](ggml_backend_buffer_type_t) -> size_t { return 128; };
                b.is_host = [](ggml_backend_buffer_type_t) { return false; };
                state.buffers = {b, &state.device, nullptr};
            }
            return &state.device;
        };
        return ggml_backend_reg{GGML_BACKEND_API_VERSION, f, nullptr};
    }();
    return &instance;
}

[[maybe_unused]] const bool registered = [] {
    ggml_backend_register(registry());
    return true;
}();

}  // namespace
