// From a symmetric pattern to the panels of its factor: order, elimination tree, panels, rows.
#include "analysis.hpp"

#include <algorithm>
#include <new>
#include <numeric>

namespace kktdiff {
namespace {

typedef std::vector<std::int32_t> Indices;

constexpr int MOST_COLUMNS = 96;  // of a panel: more would not stay in the cache
constexpr double FILLED = 30.0;   // products for each entry of L from which on panels are faster

// A symmetric pattern, and the place of each row in an order of elimination.
struct Ordered {
  const Indices &order, &place;
  const std::int32_t *start, *index;

  // Do f(i) for the places of the entries of the k-th row.
  template <class F>
  void in_row(int k, F f) const {
    for (int e = start[order[k]]; e < start[order[k] + 1]; e++) f(place[index[e]]);
  }
};

// The row in which each column of L has its first entry, or -1.
Indices elimination_tree(const Ordered &of) {
  const int size = int(of.order.size());
  Indices parent(size, -1), top(size, -1);
  for (int k = 0; k < size; k++)
    of.in_row(k, [&](int i) {
      while (i != -1 && i < k) {  // up to the root, by short cuts
        const int above = top[i];
        top[i] = k;
        if (above == -1) parent[i] = k;
        i = above;
      }
    });
  return parent;
}

// Entries of each column of L below the diagonal.
Indices column_counts(const Ordered &of, const Indices &parent) {
  const int size = int(of.order.size());
  Indices seen(size, -1), counts(size, 0);
  for (int k = 0; k < size; k++) {
    seen[k] = k;
    of.in_row(k, [&](int i) {
      for (; i < k && seen[i] != k; i = parent[i]) seen[i] = k, counts[i]++;
    });
  }
  return counts;
}

// The nodes of a tree, children before their parents and next to them, that with the most entries
// last: it is the one that a panel may take in.
Indices postorder(const Indices &parent, const Indices &counts) {
  const int size = int(parent.size());
  Indices head(size, -1), next(size, -1), out, stack, by_count(size);
  std::iota(by_count.begin(), by_count.end(), 0);
  std::stable_sort(by_count.begin(), by_count.end(),
                   [&](int a, int b) { return counts[a] > counts[b]; });
  for (int i : by_count)
    if (parent[i] != -1) next[i] = head[parent[i]], head[parent[i]] = i;
  for (int root = 0; root < size; root++) {
    if (parent[root] != -1) continue;
    for (stack.push_back(root); !stack.empty();) {
      const int i = stack.back(), child = head[i];
      if (child != -1)
        head[i] = next[child], stack.push_back(child);
      else
        stack.pop_back(), out.push_back(i);
    }
  }
  return out;
}

Indices inverse(const Indices &order) {
  Indices out(order.size());
  for (std::size_t i = 0; i < order.size(); i++) out[order[i]] = std::int32_t(i);
  return out;
}

// Return true if L has long columns for the most part.
bool fills_up(const Indices &counts) {
  double entries = 0.0, products = 0.0;
  for (double own : counts) entries += own, products += own * own;
  return products > FILLED * entries;
}

// Where a panel of so many columns is worth it though some of its entries are zero.
bool few_zeros(std::int64_t columns, std::int64_t zeros, std::int64_t entries) {
  if (columns <= 4) return zeros == 0;
  if (columns <= 16) return zeros * 5 <= entries;
  return zeros * (columns <= 48 ? 10 : 20) <= entries;
}

// Where panels begin, and the end: columns next to each other with the same rows below them, and
// those that join at the price of few zeros.
Indices panels_of(const Indices &parent, const Indices &counts) {
  const int size = int(parent.size());
  Indices first(1, size);
  std::int64_t filled = 0;  // entries of the panel, with the diagonal
  for (int end = size, begin, last = size; end > 0; end = begin) {
    begin = end - 1;
    while (begin > 0 && parent[begin - 1] == begin && counts[begin - 1] == counts[begin] + 1)
      begin--;
    std::int64_t own = 0;
    for (int i = begin; i < end; i++) own += counts[i] + 1;
    const std::int64_t columns = last - begin, below = counts[last - 1];
    const std::int64_t all = columns * below + columns * (columns + 1) / 2;
    const bool within = end < last && parent[end - 1] != -1 && parent[end - 1] < last;
    if (end == last || (within && few_zeros(columns, all - filled - own, all))) {
      filled += own;
    } else {
      first.push_back(end), last = end, filled = own;
    }
  }
  if (size) first.push_back(0);
  std::reverse(first.begin(), first.end());
  return first;
}

// The same with wide panels in pieces.
Indices narrowed(const Indices &first) {
  Indices out;
  for (std::size_t p = 0; p + 1 < first.size(); p++) {
    const int columns = first[p + 1] - first[p];
    const int pieces = (columns + MOST_COLUMNS - 1) / MOST_COLUMNS;
    for (int i = 0; i < pieces; i++)
      out.push_back(first[p] + int(std::int64_t(columns) * i / pieces));
  }
  out.push_back(first.back());
  return out;
}

// The rows below each panel: those of its columns' entries, and of the panels that end in it.
void find_rows(const Ordered &of, const Indices &panel, Analysis &out) {
  const int panels = int(out.first.size()) - 1;
  std::vector<Indices> children(panels);
  Indices seen(of.order.size(), -1);
  std::int64_t entries = 0;
  out.entry.assign(1, 0), out.start.assign(1, 0);
  for (int p = 0; p < panels; p++) {
    const int last = out.first[p + 1];
    const std::size_t begin = out.below.size();
    const auto add = [&](int i) {
      if (i >= last && seen[i] != p) seen[i] = p, out.below.push_back(i);
    };
    for (int j = out.first[p]; j < last; j++) of.in_row(j, add);
    for (int child : children[p])
      for (int e = out.start[child]; e < out.start[child + 1]; e++) add(out.below[e]);
    std::sort(out.below.begin() + std::ptrdiff_t(begin), out.below.end());
    const std::int64_t columns = last - out.first[p];
    entries += columns * (columns + std::int64_t(out.below.size() - begin));
    if (entries > INT32_MAX) throw std::bad_alloc();
    out.entry.push_back(int(entries)), out.start.push_back(int(out.below.size()));
    if (out.below.size() > begin) children[panel[out.below[begin]]].push_back(p);
  }
}

// Which panels have rows among the columns of each one.
void find_pairs(const Indices &panel, Analysis &out) {
  const int panels = int(out.first.size()) - 1;
  const auto each_pair = [&](auto f) {
    for (int p = 0; p < panels; p++)
      for (int e = out.start[p]; e < out.start[p + 1]; e++)
        if (e == out.start[p] || panel[out.below[e]] != panel[out.below[e - 1]])
          f(panel[out.below[e]], p, e);
  };
  out.left.assign(panels + 1, 0);
  each_pair([&](int to, int, int) { out.left[to + 1]++; });
  std::partial_sum(out.left.begin(), out.left.end(), out.left.begin());
  out.from.resize(out.left[panels]), out.at.resize(out.left[panels]);
  Indices next(out.left.begin(), out.left.end() - 1);
  each_pair([&](int to, int p, int e) { out.from[next[to]] = p, out.at[next[to]++] = e; });
}

}  // namespace

Analysis analyse(int size, const std::int32_t *start, const std::int32_t *index, bool panels) {
  Analysis out;
  out.order = minimum_degree(size, start, index);
  Indices place = inverse(out.order), parent, counts;
  {
    const Ordered found{out.order, place, start, index};
    parent = elimination_tree(found), counts = column_counts(found, parent);
  }
  const Indices by_tree = postorder(parent, counts), moved = inverse(by_tree);
  Indices order(size), parents(size), sizes(size), panel(size);
  for (int i = 0; i < size; i++) {
    const int old = by_tree[i];
    order[i] = out.order[old], sizes[i] = counts[old];
    parents[i] = parent[old] == -1 ? -1 : moved[parent[old]];
  }
  out.order = order, place = inverse(order);
  panels = panels && fills_up(sizes);
  out.first.resize(size + 1);
  if (panels)
    out.first = narrowed(panels_of(parents, sizes));
  else
    std::iota(out.first.begin(), out.first.end(), 0);
  for (std::size_t p = 0; p + 1 < out.first.size(); p++)
    std::fill(panel.begin() + out.first[p], panel.begin() + out.first[p + 1], int(p));
  find_rows({out.order, place, start, index}, panel, out);
  find_pairs(panel, out);
  if (!panels) out.first.clear(), out.entry.clear();
  return out;
}

}  // namespace kktdiff
