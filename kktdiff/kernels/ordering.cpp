// Approximate minimum degree (Amestoy, Davis, Duff 1996), on a quotient graph.
//
// A row that is eliminated leaves an element: the clique of the rows it was next to. A row keeps
// the rows that it is next to beside its elements; rows that are next to the same ones are one row
// of several, a supervariable. Its degree is bounded from above: elements that overlap are counted
// twice outside of the newest one.
#include <algorithm>
#include <cmath>

#include "analysis.hpp"

namespace kktdiff {
namespace {

typedef std::vector<std::int32_t> Indices;

class QuotientGraph {
 public:
  QuotientGraph(int size, const std::int32_t *start, const std::int32_t *index)
      : size_(size), rows_(size), elements_(size), members_(size), weight_(size, 1),
        extent_(size, 0), degree_(size, 0), children_(size), head_(size + 1, NONE),
        next_(size, NONE), previous_(size, NONE), mark_(size, 0), outside_(size, 0),
        seen_(size, 0) {
    const double limit = std::max(16.0, 10.0 * std::sqrt(double(size)));
    for (int i = 0; i < size; i++)
      if (start[i + 1] - start[i] > limit) dense_.push_back(i), weight_[i] = 0;
    for (int i = 0; i < size; i++) {
      if (!weight_[i]) continue;
      for (int e = start[i]; e < start[i + 1]; e++)
        if (weight_[index[e]]) rows_[i].push_back(index[e]);
      degree_[i] = int(rows_[i].size());
      insert(i);
    }
    std::stable_sort(dense_.begin(), dense_.end(), [=](int a, int b) {
      return start[a + 1] - start[a] < start[b + 1] - start[b];
    });
    left_ = size - int(dense_.size());
  }

  // Eliminate all rows; those with many entries come last.
  Indices order() {
    Indices out, stack;
    while (left_) {
      const int pivot = lowest();
      eliminate(pivot);
      for (stack.assign(1, pivot); !stack.empty();) {  // with the rows that it stands for
        const int i = stack.back();
        stack.pop_back(), out.push_back(i);
        stack.insert(stack.end(), children_[i].begin(), children_[i].end());
      }
    }
    out.insert(out.end(), dense_.begin(), dense_.end());
    return out;
  }

 private:
  static constexpr int NONE = -1;

  int size_, left_, least_ = 0;
  std::vector<Indices> rows_, elements_, members_;  // of rows: their neighbours; of elements
  Indices weight_;                                  // rows that a row stands for, 0 once it is gone
  std::vector<std::int64_t> extent_;  // of elements: the weight of their members, in all
  Indices degree_;
  std::vector<Indices> children_;      // rows that are one with a row
  Indices head_, next_, previous_;     // lists of the rows of each degree
  Indices mark_;                       // the last pivot next to which a row was
  std::vector<std::int64_t> outside_;  // of elements: members that are not next to the pivot
  Indices seen_;                       // the last pivot for which that was counted
  Indices dense_, pending_;
  int count_ = 0;  // of pivots

  void insert(int i) {
    const int d = degree_[i];
    next_[i] = head_[d], previous_[i] = NONE;
    if (head_[d] != NONE) previous_[head_[d]] = i;
    head_[d] = i, least_ = std::min(least_, d);
  }

  void remove(int i) {
    if (previous_[i] != NONE)
      next_[previous_[i]] = next_[i];
    else
      head_[degree_[i]] = next_[i];
    if (next_[i] != NONE) previous_[next_[i]] = previous_[i];
  }

  int lowest() {
    while (head_[least_] == NONE) least_++;
    const int i = head_[least_];
    remove(i);
    return i;
  }

  // Gather the rows next to a pivot in its element, which absorbs those it was in.
  Indices &gather(int pivot) {
    Indices &all = members_[pivot];
    mark_[pivot] = ++count_;
    const auto add = [&](const Indices &some) {
      for (int i : some)
        if (weight_[i] > 0 && mark_[i] != count_) mark_[i] = count_, all.push_back(i);
    };
    add(rows_[pivot]);
    for (int e : elements_[pivot]) add(members_[e]), Indices().swap(members_[e]);
    Indices().swap(rows_[pivot]), Indices().swap(elements_[pivot]);
    return all;
  }

  void eliminate(int pivot) {
    Indices &all = gather(pivot);
    left_ -= weight_[pivot], weight_[pivot] = 0;
    std::int64_t size = 0;
    for (int i : all) {
      size += weight_[i], remove(i);
      for (int e : elements_[i]) {
        if (members_[e].empty()) continue;
        if (seen_[e] != count_) seen_[e] = count_, outside_[e] = extent_[e];
        outside_[e] -= weight_[i];
      }
    }
    pending_.clear();
    for (int i : all)
      if (!update(i, pivot, size)) pending_.push_back(i);
    for (int i : all)  // those that are eliminated with the pivot
      if (weight_[i] < 0) left_ += weight_[i], size += weight_[i], weight_[i] = 0;
    extent_[pivot] = size;
    merge_alike();
    all.erase(std::remove_if(all.begin(), all.end(), [&](int i) { return !weight_[i]; }),
              all.end());
    for (int i : all) {
      degree_[i] = std::max(std::min(degree_[i], left_ - weight_[i]), 0);
      insert(i);
    }
  }

  // Prune what is next to row i, which is next to the pivot, and bound its degree; return true if
  // it is eliminated with the pivot, having no other neighbours.
  bool update(int i, int pivot, std::int64_t size) {
    std::int64_t degree = 0;
    Indices &elements = elements_[i], &rows = rows_[i];
    std::size_t kept = 0;
    for (int e : elements) {
      if (members_[e].empty()) continue;
      if (outside_[e] == 0)
        Indices().swap(members_[e]);  // within the pivot's
      else
        degree += outside_[e], elements[kept++] = e;
    }
    elements.resize(kept);
    kept = 0;
    for (int r : rows)
      if (weight_[r] > 0 && mark_[r] != count_) degree += weight_[r], rows[kept++] = r;
    rows.resize(kept);
    if (rows.empty() && elements.empty()) {
      children_[pivot].push_back(i), weight_[i] = -weight_[i];
      return true;
    }
    elements.push_back(pivot);
    degree += size - weight_[i];
    degree_[i] = int(std::min<std::int64_t>(degree, degree_[i] + size - weight_[i]));
    return false;
  }

  // Merge rows next to the pivot that have the same neighbours.
  void merge_alike() {
    std::vector<std::pair<std::uint64_t, int>> hashes;
    for (int i : pending_) {
      std::uint64_t hash = rows_[i].size() * 31 + elements_[i].size();
      for (int r : rows_[i]) hash += std::uint64_t(r) * 0x9E3779B97F4A7C15ull;
      for (int e : elements_[i]) hash += std::uint64_t(e) * 0xC2B2AE3D27D4EB4Full;
      hashes.emplace_back(hash, i);
    }
    std::sort(hashes.begin(), hashes.end());
    for (std::size_t a = 0; a < hashes.size(); a++) {
      const int i = hashes[a].second;
      if (!weight_[i]) continue;
      bool sorted = false;
      for (std::size_t b = a + 1; b < hashes.size() && hashes[b].first == hashes[a].first; b++) {
        const int j = hashes[b].second;
        if (!weight_[j]) continue;
        if (!sorted) sort(i), sorted = true;
        sort(j);
        if (rows_[i] != rows_[j] || elements_[i] != elements_[j]) continue;
        degree_[i] -= weight_[j], weight_[i] += weight_[j], weight_[j] = 0;
        children_[i].push_back(j);
        Indices().swap(rows_[j]), Indices().swap(elements_[j]);
      }
    }
  }

  void sort(int i) {
    std::sort(rows_[i].begin(), rows_[i].end());
    std::sort(elements_[i].begin(), elements_[i].end());
  }
};

}  // namespace

Indices minimum_degree(int size, const std::int32_t *start, const std::int32_t *index) {
  return QuotientGraph(size, start, index).order();
}

}  // namespace kktdiff
