#include "mmu/shadow/window_pool.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace ringshift::mmu {

WindowPool::~WindowPool() {
  while (!windows_.empty()) close(windows_.size() - 1);
}

bool WindowPool::works() {
  const auto base = arena_.take();
  if (base.has_value()) arena_.give_back(*base);
  return base.has_value();
}

HostWindow& WindowPool::open(Space& space, unsigned kind) {
  HostWindow*& place = space.windows[kind];
  if (place == nullptr) {
    while (windows_.size() >= limits_.windows && evict(Victim::Any, nullptr, nullptr)) {
    }
    auto base = arena_.take();
    while (!base.has_value() && evict(Victim::Any, nullptr, nullptr)) base = arena_.take();
    if (!base.has_value()) {
      std::fprintf(stderr, "ringshift: shadow windows: the place for the last one is gone\n");
      std::abort();
    }
    auto window = std::make_unique<HostWindow>(*base, file_, space.number, kind, usage_);
    writable_.enter(*window);
    place = window.get();
    windows_.push_back({std::move(window), &space});
  }
  place->last_used = ++clock_;
  newest_ = place;
  return *place;
}

void WindowPool::close(std::size_t index) {
  Held held = std::move(windows_[index]);
  windows_[index] = std::move(windows_.back());
  windows_.pop_back();
  held.space->windows[held.window->kind()] = nullptr;
  writable_.leave(*held.window);
  const u64 base = held.window->base();
  held.window.reset();
  arena_.give_back(base);
}

void WindowPool::drop(Space& space) {
  for (std::size_t index = windows_.size(); index-- > 0;) {
    if (windows_[index].space == &space) close(index);
  }
}

/// Gives up the window used longest ago. False: there is none but those to keep.
bool WindowPool::evict(Victim kind, const HostWindow* keep, const HostWindow* keep_too) {
  std::size_t oldest = windows_.size();
  for (std::size_t index = 0; index < windows_.size(); ++index) {
    const HostWindow& window = *windows_[index].window;
    if (&window == keep || &window == keep_too) continue;
    if (kind == Victim::WithMappings && window.mappings() == 0) continue;
    if (oldest == windows_.size() || window.last_used < windows_[oldest].window->last_used) {
      oldest = index;
    }
  }
  if (oldest == windows_.size()) return false;
  close(oldest);
  ++evictions_;
  return true;
}

bool WindowPool::map(HostWindow& window, u32 first, u32 count, u32 file_page, PageRights rights) {
  while (usage_.regions > limits_.regions && evict(Victim::Any, &window, newest_)) {
  }
  // Mapping in the middle of another mapping makes two more.
  while (usage_.mappings + 2 > limits_.mappings && evict(Victim::WithMappings, &window, newest_)) {
  }
  if (usage_.mappings + 2 > limits_.mappings) window.clear();
  while (!window.map(first, count, file_page, rights)) {
    if (evict(Victim::WithMappings, &window, newest_)) continue;
    if (window.mappings() == 0) return false;
    window.clear();
  }
  if (rights == PageRights::ReadWrite) writable_.add(window, first, file_page, count);
  return true;
}

}  // namespace ringshift::mmu
