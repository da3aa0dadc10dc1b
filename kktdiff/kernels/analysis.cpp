// From a symmetric pattern to that of its factor: order, elimination tree, and entries.
#include "analysis.hpp"

namespace kktdiff {
namespace {

typedef std::vector<std::int32_t> Indices;

// The row in which each column of L has its first entry, or -1. place: of each row in the order.
Indices elimination_tree(const Indices &order, const Indices &place, const std::int32_t *start,
                         const std::int32_t *index) {
  const int size = int(order.size());
  Indices parent(size, -1), top(size, -1);
  for (int k = 0; k < size; k++)
    for (int e = start[order[k]]; e < start[order[k] + 1]; e++)
      for (int i = place[index[e]]; i != -1 && i < k;) {  // up to the root, by short cuts
        const int above = top[i];
        top[i] = k;
        if (above == -1) parent[i] = k;
        i = above;
      }
  return parent;
}

// The nodes of a tree, children before their parents and next to them.
Indices postorder(const Indices &parent) {
  const int size = int(parent.size());
  Indices head(size, -1), next(size, -1), out, stack;
  for (int i = size - 1; i >= 0; i--)
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

// Do f(k, i) for each entry of L, in row k and column i, row by row.
template <class F>
void each_entry_of_factor(const Indices &order, const Indices &place, const Indices &parent,
                          const std::int32_t *start, const std::int32_t *index, F f) {
  Indices seen(order.size(), -1);
  for (int k = 0; k < int(order.size()); k++) {
    seen[k] = k;
    for (int e = start[order[k]]; e < start[order[k] + 1]; e++)
      for (int i = place[index[e]]; i < k && seen[i] != k; i = parent[i]) seen[i] = k, f(k, i);
  }
}

}  // namespace

Analysis analyse(int size, const std::int32_t *start, const std::int32_t *index) {
  Analysis out;
  out.order = minimum_degree(size, start, index);
  Indices place = inverse(out.order);
  Indices first = postorder(elimination_tree(out.order, place, start, index));
  for (std::int32_t &i : first) i = out.order[i];
  out.order = first, place = inverse(first);
  const Indices parent = elimination_tree(out.order, place, start, index);

  out.start.assign(size + 1, 0), out.left.assign(size + 1, 0);
  each_entry_of_factor(out.order, place, parent, start, index,
                       [&](int k, int i) { out.start[i + 1]++, out.left[k + 1]++; });
  for (int i = 0; i < size; i++) {
    out.start[i + 1] += out.start[i], out.left[i + 1] += out.left[i];
    if (out.start[i + 1] < 0) return out;  // more than 2^31 entries
  }
  const std::size_t entries = out.start[size];
  out.below.resize(entries), out.from.resize(entries), out.at.resize(entries);
  Indices next(out.start.begin(), out.start.end() - 1);
  each_entry_of_factor(out.order, place, parent, start, index,
                       [&](int k, int i) { out.below[next[i]++] = k; });
  next.assign(out.left.begin(), out.left.end() - 1);
  for (int i = 0; i < size; i++)
    for (int e = out.start[i]; e < out.start[i + 1]; e++) {
      const int q = next[out.below[e]]++;
      out.from[q] = i, out.at[q] = e;
    }
  return out;
}

}  // namespace kktdiff
