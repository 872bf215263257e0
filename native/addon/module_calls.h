#pragma once

#include <map>
#include <memory>
#include <string>

#include "addon/native_module.h"
#include "addon/promise_worker.h"

namespace safelight {

// Asynchronous calls of a module, which run on its thread. Each keeps its module alive until it is settled.

std::shared_ptr<promise_worker> run_call(native_module & owner, std::shared_ptr<module_host> host,
                                         run_request request);
std::shared_ptr<promise_worker> needed_call(native_module & owner, std::shared_ptr<module_host> host,
                                            std::string entry, std::map<std::string, shape> inputs,
                                            config params, std::string patches);
std::shared_ptr<promise_worker> patch_call(native_module & owner, std::shared_ptr<module_host> host,
                                           std::string id, patch_plan plan);

std::shared_ptr<promise_worker> write_packed_call(native_module & owner, std::shared_ptr<module_host> host,
                                                  std::string path, uint64_t offset);

}  // namespace safelight
