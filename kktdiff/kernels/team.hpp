// Threads that share the work within one problem.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "call.hpp"

namespace kktdiff {

// The threads that help one worker with its problems, for as long as it has any.
//
// Work comes as jobs of tasks that each thread takes one by one, the worker too: it waits for tasks
// that were taken, never for a thread. `ticket` holds the job's number and the next task.
class Helpers : public Team {
 public:
  // Each has `doubles` of `memory`. Where the system grants fewer threads, there are fewer.
  Helpers(int count, double *memory, std::int64_t doubles) {
    Team::each = share;
    try {
      for (int i = 0; i < count; i++)
        threads_.emplace_back([this, own = memory + i * doubles] { help(own); });
    } catch (const std::exception &) {}
    Team::threads = int(threads_.size()) + 1;
  }

  ~Helpers() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      ended_.store(true);
    }
    wake_.notify_all();
    for (std::thread &thread : threads_) thread.join();
  }

 private:
  // How often a thread looks before it sleeps, 20 to 50 us in all: to wake one takes as long, and
  // what a worker does between two jobs is often shorter.
  static constexpr int LOOKS = 1000;
  static constexpr std::uint64_t NONE = 0xFFFFFFFF;  // no task of a job

  static void pause() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
  }

  // Wait until `ready`, first awake, then asleep: `asleep` counts who is.
  template <class Ready>
  void wait(std::condition_variable &condition, std::atomic<int> &asleep, Ready ready) {
    for (int i = 0; i < LOOKS; i++) {
      if (ready()) return;
      pause();
    }
    std::unique_lock<std::mutex> lock(mutex_);
    asleep.fetch_add(1);
    condition.wait(lock, ready);
    asleep.fetch_sub(1);
  }

  // Wake who waits for what was just stored.
  void wake(std::condition_variable &condition, std::atomic<int> &asleep) {
    if (!asleep.load()) return;
    { std::lock_guard<std::mutex> lock(mutex_); }
    condition.notify_all();
  }

  // Take tasks of a job until none is left.
  void work(std::uint32_t job, double *own) {
    for (std::uint64_t ticket = ticket_.load(); ticket >> 32 == job;) {
      const std::uint32_t index = ticket & NONE;
      const Task task = task_.load();
      void *const data = data_.load();
      if (index >= count_.load()) return;
      if (!ticket_.compare_exchange_weak(ticket, ticket + 1)) continue;  // still the same job?
      task(data, int(index), own);
      if (left_.fetch_sub(1) == 1) wake(finished_, waiting_);
      ticket = ticket_.load();
    }
  }

  void help(double *own) {
    for (std::uint32_t seen = 0;;) {
      wait(wake_, sleepers_, [&] { return ended_.load() || ticket_.load() >> 32 != seen; });
      if (ended_.load()) return;
      seen = std::uint32_t(ticket_.load() >> 32);
      work(seen, own);
    }
  }

  static void share(Team *team, Task task, void *data, int count, double *own) {
    Helpers &all = *static_cast<Helpers *>(team);
    const std::uint32_t before = std::uint32_t(all.ticket_.load() >> 32), job = before + 1;
    all.ticket_.store(std::uint64_t(before) << 32 | NONE);  // late helpers shall not take these
    all.task_.store(task), all.data_.store(data);
    all.count_.store(std::uint32_t(count)), all.left_.store(count);
    all.ticket_.store(std::uint64_t(job) << 32);
    all.wake(all.wake_, all.sleepers_);
    all.work(job, own);
    all.wait(all.finished_, all.waiting_, [&] { return all.left_.load() == 0; });
  }

  alignas(64) std::atomic<std::uint64_t> ticket_{0};
  alignas(64) std::atomic<int> left_{0};
  alignas(64) std::atomic<Task> task_{nullptr};
  std::atomic<void *> data_{nullptr};
  std::atomic<std::uint32_t> count_{0};
  std::atomic<int> sleepers_{0}, waiting_{0};
  std::atomic<bool> ended_{false};
  std::mutex mutex_;
  std::condition_variable wake_, finished_;
  std::vector<std::thread> threads_;
};

}  // namespace kktdiff
