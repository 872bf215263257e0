#pragma once

namespace safelight {

// Returns the number of physical cores that the process may use by its affinity mask; 0 if the system does
// not report the topology.
int allowed_cores();

// Returns the limit of CPU time of the process's container or job object in processors, rounded up; 0 if
// there is none.
int cpu_quota();

}  // namespace safelight
