// factor_ldl and solve_ldl on a pattern that `structure` has found, for T = Pack and T = double.
#include <vector>

#include "sparse.hpp"

using namespace kktdiff;

// K: (lanes, given); diagonal and v: (lanes, size), which become 1/D and the solution
template <class T>
static bool factor_and_solve(const int *structure, int positive, const double *K, double *diagonal,
                             double *v) {
  const LdlPattern s = structure_of(structure).ldl;
  std::vector<T> K_(s.given), D(s.size), L(s.entries), work(s.size), x(s.size);
  std::vector<T> panel((s.size + LDL_COLUMNS) * PANEL + LANES);
  for (int e = 0; e < s.given; e++) K_[e] = load<T>(K + e, s.given);
  for (int i = 0; i < s.size; i++) D[i] = load<T>(diagonal + s.order[i], s.size);
  for (int i = 0; i < s.size; i++) x[i] = load<T>(v + s.order[i], s.size);
  const Mask<T> ok =
      factor_ldl(s, positive, T(1.0), K_.data(), D.data(), L.data(), work.data(), panel.data());
  solve_ldl(s, D.data(), L.data(), panel.data(), x.data());
  for (int i = 0; i < s.size; i++) store(v + s.order[i], s.size, x[i]);
  for (int i = 0; i < s.size; i++) store(diagonal + s.order[i], s.size, D[i]);
  return all(ok);
}

extern "C" int in_lanes(const int *structure, int positive, const double *K, double *diagonal,
                        double *v) {
  return factor_and_solve<Pack>(structure, positive, K, diagonal, v);
}

extern "C" int alone(const int *structure, int positive, const double *K, double *diagonal,
                     double *v) {
  return factor_and_solve<double>(structure, positive, K, diagonal, v);
}
