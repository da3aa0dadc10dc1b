// A call among threads that live as long as it: nothing is kept, so a fork is safe.
#pragma once
#include <memory>

#include "team.hpp"

namespace kktdiff {

constexpr std::int64_t PIECES = 8;  // for each thread: some elements take longer than others

// Memory of one call: `doubles` for each thread that works on elements, `helper` for each that
// helps with one of them; multiples of 8. Elements that nobody can help with are those in lanes.
struct Scratch {
  std::int64_t doubles, helper;
};

// Work of one call, which threads take piece by piece; each may have others that help it.
class Batch {
 public:
  Batch(Kernel kernel, const Call &call, int lanes, int threads, Scratch scratch)
      : kernel_(kernel), call_(call), last_(call.sizes[0]), scratch_(scratch) {
    const std::int64_t wanted = threads > 1 ? threads * PIECES : 1;
    size_ = (last_ + wanted - 1) / wanted;
    if (!scratch.helper) size_ = (size_ + lanes - 1) / lanes * lanes;  // full vectors
    const std::int64_t pieces = size_ ? (last_ + size_ - 1) / size_ : 1;
    workers_ = pieces < threads ? int(pieces) : threads;
    if (scratch.helper && workers_) helpers_ = threads / workers_ - 1;
  }

  int workers() const { return workers_; }
  std::int64_t doubles() const { return scratch_.doubles + helpers_ * scratch_.helper; }  // of each

  // Work until nothing is left; return how many threads did.
  int work(double *scratch) {
    Call own = call_;
    own.scratch = scratch;
    std::unique_ptr<Helpers> team;
    if (helpers_) team.reset(new Helpers(helpers_, scratch + scratch_.doubles, scratch_.helper));
    if (team && team->threads > 1) own.team = team.get();
    for (std::int64_t first; (first = next_.fetch_add(size_)) < last_;)
      kernel_(own, first, first + size_ < last_ ? first + size_ : last_);
    return team ? team->threads : 1;
  }

 private:
  Kernel kernel_;
  Call call_;
  std::int64_t last_, size_;
  Scratch scratch_;
  int workers_, helpers_ = 0;
  std::atomic<std::int64_t> next_{0};
};

// Run a batch in its threads, this one among them; return how many worked. `scratch` holds
// `batch.doubles()` for each worker. Where the system grants fewer threads, those that there are do
// all of the work.
inline int run(Batch &batch, double *scratch) {
  std::vector<std::thread> others;
  std::atomic<int> worked{0};
  try {
    while (int(others.size()) + 1 < batch.workers()) {
      double *own = scratch + batch.doubles() * std::int64_t(others.size() + 1);
      others.emplace_back([&batch, &worked, own] { worked += batch.work(own); });
    }
  } catch (const std::exception &) {}
  worked += batch.work(scratch);
  for (std::thread &other : others) other.join();
  return worked;
}

}  // namespace kktdiff
