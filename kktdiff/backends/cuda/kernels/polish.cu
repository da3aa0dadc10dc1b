// The solution for the active set: solve, refine, judge.

// Solve with P K = L U, by columns, in place; `room`: for as much again.
__device__ void lu_solve(const double* K, const int* pivots, int N, double* v, double* room) {
  if (threadIdx.x == 0)
    for (int t = 0; t < N; ++t) {
      double swapped = v[pivots[t] - 1];
      v[pivots[t] - 1] = v[t];
      v[t] = swapped;
    }
  __syncthreads();
  sweep(K, N, false, ONES, v, room);
  sweep(K, N, true, DIVIDE, room, v);
}

// Newton's step from `at`, the residuals of which v holds, but for held variables.
__device__ void step(const Batch& q, const Polish& p, Int i, const Vectors& v, const Point& at,
                     const Point& to) {
  int n = q.n, k = q.k, m = q.m, r = p.r, N = n + k + r;
  const double *x = p.x_weight + i * n, *g = p.g_weight + i * m, *nu = q.nu_weight.at(i);
  const Int *order = p.order + i * m, *place = p.place + i * m;
  double *u = p.rhs + (Int)blockIdx.x * 2 * N, cost = *q.cost.at(i);
  EACH(j, n) u[j] = -cost * x[j] * v.r_x[j];
  EACH(a, k) u[n + a] = -nu[a] * v.r_nu[a];
  EACH(t, r) u[n + k + t] = -g[order[t]] * v.r_c[order[t]];
  __syncthreads();
  lu_solve(p.own + (Int)blockIdx.x * N * N, p.own_pivots + (Int)blockIdx.x * N, N, u, u + N);
  EACH(j, n) to.x[j] = at.x[j] + x[j] * u[j];
  EACH(a, k) to.nu[a] = at.nu[a] + nu[a] * u[n + a] / cost;
  EACH(row, m) to.lam[row] = at.lam[row] + g[row] * u[n + k + place[row]] / cost;
}

// Variables on their active bounds; slack 0 on active rows, multiplier 0 on the others. The
// multipliers of active bounds are what the stationarity leaves for them. Returns the residuals.
__device__ Norms put_on(const Batch& q, Int i, const Vectors& v, const Point& at) {
  int n = q.n, m = q.m, up = m + (int)q.lower;
  const double *d = q.d.at(i), *value = q.value.at(i);
  const unsigned char *fixed = q.fixed.at(i), *present = q.present.at(i);
  double held = 0;
  EACH(j, n) {
    bool low = q.lower && v.w[m + j] > 0, high = q.upper && v.w[up + j] > 0;
    if (fixed[j]) at.x[j] = value[j];
    if (low) at.x[j] = -d[m + j];
    if (high) at.x[j] = d[up + j];
    if (low || high) held = 1;
  }
  held = largest(held);  // its barriers are those that the product needs
  times(q.G.at(i), m, n, at.x, at.s);
  __syncthreads();
  EACH(row, inequalities(q)) {
    bool active = v.w[row] > 0;
    double slack = active ? 0 : d[row] - C_times(q, row, at.s, at.x);
    at.s[row] = present[row] ? slack : 1;
    if (!active || row >= m) at.lam[row] = 0;
  }
#pragma unroll 1
  for (;;) {  // twice where bounds are active; the code is there once, for want of registers
    Norms r = evaluate(q, i, v, at);
    if (held == 0) return r;
    EACH(j, n) {
      if (q.lower && v.w[m + j] > 0) at.lam[m + j] = v.r_x[j];
      if (q.upper && v.w[up + j] > 0) at.lam[up + j] = -v.r_x[j];
    }
    held = 0;
  }
}

__device__ void copy(const Batch& q, const Point& from, const Point& to) {
  EACH(j, q.n) to.x[j] = from.x[j];
  EACH(row, inequalities(q)) {
    to.s[row] = from.s[row];
    to.lam[row] = from.lam[row];
  }
  EACH(a, q.k) to.nu[a] = from.nu[a];
}

// What is left of the equations; the slacks of the other rows meet theirs.
__device__ double left_of(const Norms& r) {
  double primal = larger(r.rows, r.equalities) / (1 + r.primal_size);
  return primal + r.dual / (1 + r.dual_size) + r.gap / (1 + r.gap_size);
}

// Newton's method on the equations for the active set, which are linear: steps refine. It needs
// more registers than the other kernels have.
extern "C" __global__ void __launch_bounds__(MOST_THREADS, 1)
refine(const Batch* batch, const Polish* polish) {
  const Batch& q = *batch;
  const Polish& p = *polish;
  Int i = tried_problem(q, p);
  if (i < 0) return;
  if (p.info[blockIdx.x] != 0 || p.count[i] > p.r) {
    if (threadIdx.x == 0) p.state[i] = GIVEN_UP;
    return;
  }
  Vectors v = vectors_of(q, blockIdx.x);
  Point out = solution_of(q, p, i), trial = {v.dx, v.ds, v.dlam, v.dnu};
  copy(q, point_of(q, i), trial);
  double left = BIG;
  for (int count = 0; count <= STEPS; ++count) {
    if (count) step(q, p, i, v, out, trial);
    Norms r = put_on(q, i, v, trial);
    double before = left;
    left = left_of(r);
    if (count && !(left < before)) return;
    copy(q, trial, out);
    double rest = larger(larger(r.equalities, r.dual), r.gap);
    bool coarse = left < before / 2 && (left > CLEAN / 4 || rest > FINE);
    if (count ? !(coarse || rest > MUCH) : !(left < BIG)) return;
  }
}

// Note the active set that the signs found ask for, and put right what has a wrong one; how many
// rows differ, to all threads.
__device__ double release(const Batch& q, Int i, const Vectors& v, const Point& at) {
  const unsigned char* present = q.present.at(i);
  double wrong[1] = {0};
  EACH(row, inequalities(q)) {
    bool wanted = v.w[row] > 0 ? at.lam[row] > 0 : at.s[row] < 0;
    v.target[row] = wanted && present[row];
    wrong[0] += v.target[row] != v.w[row];
    at.s[row] = larger(at.s[row], 0);
    at.lam[row] = larger(at.lam[row], 0);
  }
  over_block(wrong, 1);
  return wrong[0];
}

// What becomes of a problem, for one thread.
__device__ Int polished(const Polish& p, Int i, const Norms& r, double wrong) {
  double worst = larger(larger(r.primal, r.dual), larger(r.gap, ROUNDING / 8 * r.dual_size));
  double* numbers = p.numbers + i * 4;
  numbers[0] = r.objective, numbers[1] = r.primal, numbers[2] = r.dual, numbers[3] = r.gap;
  if (merit(r) <= CLEAN) return worst <= MUCH ? POLISHED : GIVEN_UP;
  if (!(wrong > 0 && wrong < p.wrong[i])) return GIVEN_UP;
  p.wrong[i] = (Int)wrong;
  return AGAIN;
}

// Keep the factors of a problem that was tried again, which are those of its slot.
__device__ void keep(const Batch& q, const Polish& p, Int i) {
  Int N = q.n + q.k + p.r, slot = blockIdx.x;
  if (p.own == p.K) return;
  EACH(at, N * N) p.K[i * N * N + at] = p.own[slot * N * N + at];
  EACH(at, N) p.pivots[i * N + at] = p.own_pivots[slot * N + at];
}

// Put the signs right, and judge: keep what is solved, note what is to be tried again.
extern "C" __global__ void __launch_bounds__(MOST_THREADS, 2)
settle(const Batch* batch, const Polish* polish) {
  const Batch& q = *batch;
  const Polish& p = *polish;
  Int i = tried_problem(q, p);
  if (i < 0) return;
  Vectors v = vectors_of(q, blockIdx.x);
  Point out = solution_of(q, p, i);
  double wrong = release(q, i, v, out);
  Norms r = evaluate(q, i, v, out);
  if (threadIdx.x == 0) {
    p.state[i] = polished(p, i, r, wrong);
    if (p.state[i] == AGAIN) atomicAdd(p.again, 1);
  }
  __syncthreads();
  if (p.state[i] == POLISHED) keep(q, p, i);
  if (p.state[i] == AGAIN)
    EACH(row, inequalities(q)) p.activity[i * inequalities(q) + row] = v.target[row];
}
