#include "nn/fused/kernel_node.h"

#include <memory>
#include <new>

namespace safelight {
namespace {

struct node {
    std::function<void(tensor, const kernels::team &)> run;
    run_state * state;
    kernels::work_counter counter;
};

bool cancelled(const void * state) {
    return static_cast<const run_state *>(state)->cancelled();
}

// Called by ggml on each of its threads; must not throw, because ggml is C.
void compute(tensor out, int index, int count, void * data) {
    node & n = *static_cast<node *>(data);
    kernels::team team{index, count, &n.counter, cancelled, n.state};
    try {
        n.run(out, team);
    } catch (const std::bad_alloc &) {
        n.state->out_of_memory = true;
        kernels::leave(team);
    }
}

}  // namespace

tensor kernel_node(graph & g, const int64_t ne[4], const std::vector<tensor> & sources,
                   std::function<void(tensor, const kernels::team &)> run, ggml_type type) {
    g.require_room(1);
    auto n = std::make_shared<node>();
    n->run = std::move(run);
    n->state = &g.run;
    g.keep.push_back(n);
    std::vector<tensor> args = sources;
    return ggml_custom_4d(g.ctx(), type, ne[0], ne[1], ne[2], ne[3], args.data(),
                          static_cast<int>(args.size()), compute, GGML_N_TASKS_MAX, n.get());
}

}  // namespace safelight
