// The kernel `forms`: where H is diagonal in any scaling (see is_separable of _kkt/system.py). A
// device has none: there H is dense.
#pragma once
#include "solve.hpp"

namespace kktdiff {
namespace {

constexpr double FLATTEST = 1e-3;  // smallest entry of the diagonal, relative to its largest

enum FormsArray { OUT_FORM = IN_UB + 1 };  // the first ones are those of `solve`

template <class T>
struct Form {
  Problem<T> problem;
  Scaling<T> scaling;
  Balance<T> balance;

  Form(Arena &a, Sizes z, const Entries * = nullptr)
      : problem(a, z), scaling(a, z), balance(a, z) {}
};

inline bool is_diagonal(int n, const double *Q) {  // (Q + Q')/2 is
  for (int i = 0; i < n; i++)
    for (int j = 0; j < i; j++) {
      const double a = Q[i * n + j], b = Q[j * n + i];
      if (!((a == b ? a : (a + b) / 2.0) == 0.0)) return false;
    }
  return true;
}

template <class T>
void forms_group(const Group<T> &g, Form<T> &work) {
  Problem<T> &q = work.problem;
  q.separable = true;  // as far as scaling is concerned
  load_problem(g, q, true);
  equilibrate(q, work.scaling, work.balance);
  T low = q.Q[0], high = q.Q[0];
  for (int j = 1; j < q.size.core; j++) low = min(q.Q[j], low), high = max(q.Q[j], high);
  const Mask<T> clear = low > T(FLATTEST) * high;
  for (int l = 0; l < g.count(); l++) {
    const bool diagonal = is_diagonal(q.size.core, array<const double>(g.call, IN_Q, g.element(l)));
    *array<unsigned char>(g.call, OUT_FORM, g.element(l)) = lane(clear, l) && diagonal;
  }
}

template <class T>
void forms_all(const Call &call, std::int64_t first, std::int64_t last) {
  Arena arena{reinterpret_cast<char *>(call.scratch)};
  Form<T> work(arena, sizes_of(call.sizes));
  for (; first < last; first += Lanes<T>::count) forms_group(Group<T>{call, first, last}, work);
}

void forms(const Call &call, std::int64_t first, std::int64_t last) {
  in_lanes(call.sizes) ? forms_all<Pack>(call, first, last) : forms_all<double>(call, first, last);
}

std::int64_t forms_doubles(const std::int64_t *sizes) {
  return in_lanes(sizes) ? doubles_of<Form<Pack>>(sizes) : doubles_of<Form<double>>(sizes);
}

}  // namespace
}  // namespace kktdiff
