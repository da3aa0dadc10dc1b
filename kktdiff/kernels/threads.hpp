// A batch among threads that live as long as the call: nothing is kept, so a fork is safe.
#pragma once
#include <atomic>
#include <exception>
#include <thread>
#include <vector>

#include "call.hpp"

namespace kktdiff {

constexpr std::int64_t PIECES = 8;  // for each thread: some elements take longer than others

// Work of one call, which threads take piece by piece.
class Batch {
 public:
  Batch(Kernel kernel, const Call &call, int lanes, int threads)
      : kernel_(kernel), call_(call), last_(call.sizes[0]) {
    const std::int64_t pieces = threads > 1 ? threads * PIECES : 1;
    size_ = (last_ + pieces - 1) / pieces;
    size_ = (size_ + lanes - 1) / lanes * lanes;  // full vectors
  }

  void work(double *scratch) {
    Call own = call_;
    own.scratch = scratch;
    for (std::int64_t first; (first = next_.fetch_add(size_)) < last_;)
      kernel_(own, first, first + size_ < last_ ? first + size_ : last_);
  }

  std::int64_t pieces() const { return size_ ? (last_ + size_ - 1) / size_ : 0; }

 private:
  Kernel kernel_;
  Call call_;
  std::int64_t last_, size_;
  std::atomic<std::int64_t> next_{0};
};

// Run a kernel on its whole batch in up to `threads` threads, this one among them; return how many
// worked. `scratch` holds `doubles`, a multiple of 8, for each. Where the system grants fewer
// threads, those that there are do all of the work.
inline int run(Kernel kernel, const Call &call, int lanes, int threads, double *scratch,
               std::int64_t doubles) {
  Batch batch(kernel, call, lanes, threads);
  std::vector<std::thread> others;
  try {
    while (std::int64_t(others.size()) + 1 < threads &&
           std::int64_t(others.size()) + 1 < batch.pieces()) {
      double *own = scratch + doubles * std::int64_t(others.size() + 1);
      others.emplace_back([&batch, own] { batch.work(own); });
    }
  } catch (const std::exception &) {}
  batch.work(scratch);
  for (std::thread &other : others) other.join();
  return int(others.size()) + 1;
}

}  // namespace kktdiff
