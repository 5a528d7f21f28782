#include "mm/space/pager.h"

namespace mm::pager {

constinit const Pager* registered = nullptr;
constinit LastResort last_resort = nullptr;

void set(const Pager& pager) { registered = &pager; }
void set_last_resort(LastResort ask) { last_resort = ask; }

} // namespace mm::pager
