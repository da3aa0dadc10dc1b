// Solve with kept factors and refine, as `kktdiff._kkt` has it: a block for each right-hand side.

struct Kkt {  // packed by the host: `_table.Kkt`
  Int n, m, k, lower, upper;  // sizes, as in Batch
  Int N, r, columns;          // rows of the factors, rows of G among them, right-hand sides each
  Numbers Q, G, A;
  Numbers x_scale, row_scale, nu_scale, cost;  // the scaling
  Numbers x_weight, g_weight, activity, slack, stiff;  // as in `kktdiff._kkt.Factors`
  Flags held;
  Given<Int> order, place;
  Numbers K;
  Given<int> pivots;
  const double *rhs_x, *rhs_c, *rhs_nu;  // (columns, n) and so on, for each problem
  double *x, *c, *nu;                    // the solutions
  double* error;                         // (columns): relative residuals
  double* work;                          // (4 (n + M + k) + n + 2 N) for each right-hand side
};

struct Side {  // a right-hand side, or a solution
  double *x, *c, *nu;
};

__device__ Side side_at(const Kkt& z, double* at) {
  return {at, at + z.n, at + z.n + inequalities(z)};
}

// r_x - Q x - C'c - A'nu, entry j.
__device__ double stationarity(const Kkt& z, Int i, int j, const double* r_x, const Side& at) {
  double left = r_x[j] - column_times(z.Q.at(i), z.n, z.n, j, at.x);
  left -= Ct_times(z, z.G.at(i), j, at.c);
  return left - column_times(z.A.at(i), z.k, z.n, j, at.nu);
}

// Multipliers of the bounds: by their own row, or, where held, by what the stationarity leaves.
__device__ void bound_multipliers(const Kkt& z, Int i, const Side& rhs, const Side& out) {
  const double* stiff = z.stiff.at(i);
  const unsigned char* held = z.held.at(i);
  EACH(j, z.n) {
    int low = (int)z.m + j, high = low + (int)z.lower;
    double own_low = z.lower ? stiff[low] * (-out.x[j] - rhs.c[low]) : 0;
    double own_high = z.upper ? stiff[high] * (out.x[j] - rhs.c[high]) : 0;
    if (z.lower) out.c[low] = own_low;
    if (z.upper) out.c[high] = own_high;
    double left = stationarity(z, i, j, rhs.x, out);
    if (z.lower && held[low]) out.c[low] = -left;
    if (z.upper && held[high]) out.c[high] = left;
  }
}

// Solve the regularised system. A held variable is moved to where the right-hand side wants it,
// and only the rest is solved for. `move`: (n), `v`: (2 N).
__device__ void solve_once(const Kkt& z, Int i, const Side& rhs, const Side& out, double* move,
                           double* v) {
  int n = z.n, m = z.m, k = z.k, r = z.r, N = z.N;
  const double *x = z.x_weight.at(i), *g = z.g_weight.at(i), *nu = z.nu_scale.at(i);
  const double *stiff = z.stiff.at(i), cost = *z.cost.at(i);
  const unsigned char* held = z.held.at(i);
  const Int *order = z.order.at(i), *place = z.place.at(i);
  EACH(j, n) {
    int low = m + j, high = low + (int)z.lower;
    move[j] = z.upper && held[high] ? rhs.c[high] : 0;
    if (z.lower && held[low]) move[j] -= rhs.c[low];
  }
  __syncthreads();
  times(z.G.at(i), m, n, move, out.c);
  times(z.A.at(i), k, n, move, out.nu);
  __syncthreads();
  EACH(j, n) {
    int low = m + j, high = low + (int)z.lower;
    double r_x = rhs.x[j] - column_times(z.Q.at(i), n, n, j, move);
    if (z.upper) r_x += stiff[high] * (rhs.c[high] - move[j]);
    if (z.lower) r_x -= stiff[low] * (rhs.c[low] + move[j]);
    v[j] = cost * x[j] * r_x;
  }
  EACH(a, k) v[n + a] = nu[a] * (rhs.nu[a] - out.nu[a]);
  EACH(t, r) v[n + k + t] = g[order[t]] * (rhs.c[order[t]] - out.c[order[t]]);
  __syncthreads();
  lu_solve(z.K.at(i), z.pivots.at(i), N, v, v + N);
  EACH(j, n) out.x[j] = x[j] * v[j] + move[j];
  EACH(a, k) out.nu[a] = nu[a] * v[n + a] / cost;
  EACH(row, m) out.c[row] = g[row] * v[n + k + place[row]] / cost;
  __syncthreads();
  bound_multipliers(z, i, rhs, out);
  __syncthreads();
}

// What `out` leaves of `rhs` in the system without regularisation, in `left`; its size.
__device__ double residual(const Kkt& z, Int i, const Side& rhs, const Side& out,
                           const Side& left) {
  const double *activity = z.activity.at(i), *slack = z.slack.at(i), *rows = z.row_scale.at(i);
  const double *x = z.x_scale.at(i), *nu = z.nu_scale.at(i), cost = *z.cost.at(i);
  times(z.G.at(i), z.m, z.n, out.x, left.c);
  times(z.A.at(i), z.k, z.n, out.x, left.nu);
  __syncthreads();
  double size = 0;
  EACH(j, z.n) {
    left.x[j] = stationarity(z, i, j, rhs.x, out);
    size = larger(size, fabs(cost * x[j] * left.x[j]));
  }
  EACH(a, z.k) {
    left.nu[a] = rhs.nu[a] - left.nu[a];
    size = larger(size, fabs(nu[a] * left.nu[a]));
  }
  EACH(row, inequalities(z)) {
    double c = rhs.c[row] - C_times(z, row, left.c, out.x) + slack[row] * out.c[row];
    left.c[row] = activity[row] > 0 ? c : 0;
    size = larger(size, fabs(sqrt(activity[row]) * rows[row] * left.c[row]));
  }
  return largest(size);
}

// The size of a right-hand side in the metric of the scaling.
__device__ double size_of(const Kkt& z, Int i, const Side& rhs) {
  const double *activity = z.activity.at(i), *rows = z.row_scale.at(i), *x = z.x_scale.at(i);
  const double *nu = z.nu_scale.at(i), cost = *z.cost.at(i);
  double size = 0;
  EACH(j, z.n) size = larger(size, fabs(cost * x[j] * rhs.x[j]));
  EACH(a, z.k) size = larger(size, fabs(nu[a] * rhs.nu[a]));
  EACH(row, inequalities(z))
    size = larger(size, fabs(sqrt(activity[row]) * rows[row] * rhs.c[row]));
  return largest(size);
}

extern "C" __global__ void __launch_bounds__(MOST_THREADS, 1) solve_refined(const Kkt* kkt) {
  const Kkt& z = *kkt;
  Int i = blockIdx.x / z.columns, column = blockIdx.x, length = z.n + inequalities(z) + z.k;
  double* work = z.work + column * (4 * length + z.n + 2 * z.N);
  Side rhs = side_at(z, work), left = side_at(z, work + length);
  Side step = side_at(z, work + 2 * length), trial_left = side_at(z, work + 3 * length);
  double *move = work + 4 * length, *v = move + z.n;
  Int M = inequalities(z);
  Side out = {z.x + column * z.n, z.c + column * M, z.nu + column * z.k};
  EACH(j, z.n) rhs.x[j] = z.rhs_x[column * z.n + j];
  EACH(row, M) rhs.c[row] = z.rhs_c[column * M + row];
  EACH(a, z.k) rhs.nu[a] = z.rhs_nu[column * z.k + a];
  double size = size_of(z, i, rhs);
  solve_once(z, i, rhs, out, move, v);
  double error = residual(z, i, rhs, out, left);
  bool going = error > REFINED * size;
  for (int count = 0; count < REFINEMENTS && going; ++count) {
    solve_once(z, i, left, step, move, v);
    EACH(j, z.n) step.x[j] += out.x[j];
    EACH(row, M) step.c[row] += out.c[row];
    EACH(a, z.k) step.nu[a] += out.nu[a];
    __syncthreads();
    double now = residual(z, i, rhs, step, trial_left);
    if (!(now < error)) break;
    EACH(j, z.n) out.x[j] = step.x[j];
    EACH(row, M) out.c[row] = step.c[row];
    EACH(a, z.k) out.nu[a] = step.nu[a];
    Side other = left;
    left = trial_left;
    trial_left = other;
    going = now < 0.5 * error && now > REFINED * size;
    error = now;
  }
  if (threadIdx.x == 0) z.error[column] = size > 0 ? error / size : error;
}
