// The interior-point loop of `kktdiff._ipm` for problems that give no trouble. What has trouble is
// left at once: to polishing, if it is near the solution by then; else it is given up, the array code
// takes it from the start, and decides what it is.

// Begin at zero, and write the system whose solution is the first point.
extern "C" __global__ void __launch_bounds__(MOST_THREADS, 2) begin(const Batch* batch) {
  const Batch& q = *batch;
  Int i = running_problem(q);
  int M = inequalities(q);
  if (i < 0) return;
  Vectors v = vectors_of(q, blockIdx.x);
  const double *value = q.value.at(i), *Q = q.Q.at(i), *weight = q.row_weight.at(i);
  const unsigned char* present = q.present.at(i);
  EACH(j, q.n) q.x[i * q.n + j] = value[j];
  EACH(a, q.k) q.nu[i * q.k + a] = 0;
  EACH(row, M) q.s[i * M + row] = q.lam[i * M + row] = 0;
  EACH(c, 7) q.least[i * 7 + c] = BIG;
  EACH(c, 2) q.allowed[i * 2 + c] = BIG;
  double curved = 0;
  EACH(at, q.n * q.n) curved = larger(curved, Q[at] != 0 ? 1 : 0);
  curved = largest(curved);
  if (threadIdx.x == 0) {
    v.norms[LEFT] = GIVEN_UP;
    q.progress[i] = 0;
    q.linear[i] = curved == 0;
  }
  evaluate(q, i, v, point_of(q, i));
  EACH(row, M) v.w[row] = present[row] ? weight[row] * weight[row] / *q.cost.at(i) : 0;
  EACH(row, M) v.target[row] = -v.r_c[row];
  __syncthreads();
  condense(q, i, blockIdx.x, v);
}

// Shift v to at least one where any entry that is present is not clearly positive.
__device__ void make_positive(const unsigned char* present, double* v, int count) {
  double r[2] = {-BIG, 0};  // minus the least; the largest size
  EACH(row, count) if (present[row]) {
    r[0] = larger(r[0], -v[row]);
    r[1] = larger(r[1], fabs(v[row]));
  }
  over_block(r, 0);
  if (-r[0] <= 1e-8 * (r[1] > 1 ? r[1] : 1)) EACH(row, count) v[row] += 1 + r[0];
}

// The first point: the minimiser of the sum of squares, made positive.
extern "C" __global__ void __launch_bounds__(MOST_THREADS, 2) start(const Batch* batch) {
  const Batch& q = *batch;
  Int i = running_problem(q);
  int M = inequalities(q);
  if (i < 0) return;
  Vectors v = vectors_of(q, blockIdx.x);
  if (!take_factors(q, i, blockIdx.x, v)) return;
  solve(q, i, blockIdx.x, v);
  double *s = q.s + i * M, *lam = q.lam + i * M, cost = *q.cost.at(i);
  const double* weight = q.row_weight.at(i);
  const unsigned char* present = q.present.at(i);
  EACH(j, q.n) q.x[i * q.n + j] += v.dx[j];
  EACH(a, q.k) q.nu[i * q.k + a] = v.dnu[a];
  EACH(row, M) {
    s[row] = -v.dlam[row] * cost / weight[row];
    lam[row] = -s[row];
  }
  make_positive(present, s, M);
  make_positive(present, lam, M);
  EACH(row, M) {
    s[row] = present[row] ? s[row] / weight[row] : 1;
    lam[row] = present[row] ? lam[row] * weight[row] / cost : 0;
  }
}

// Whether all three norms are small or rounding; or the point is on the central path.
__device__ bool is_solved(const Batch& q, const Norms& r) {
  if (q.barrier > 0) {
    double off = larger(larger(r.rows, r.equalities) / (1 + r.primal_size), r.off_path);
    return larger(off, r.dual / (1 + r.dual_size)) <= q.tol;
  }
  return r.primal <= q.tol + ROUNDING * r.primal_size && r.dual <= q.tol + ROUNDING * r.dual_size &&
         r.gap <= q.tol + ROUNDING * r.gap_size;
}

// Whether a residual, a relative residual or mu is half of the least so far; for one thread.
__device__ bool has_halved(const Batch& q, Int i, const Norms& r) {
  int M = inequalities(q);
  double floor = ROUNDING * r.gap_size / (M > 1 ? M : 1);
  double now[7] = {r.primal, r.dual, r.gap, r.primal / (1 + r.primal_size),
                   r.dual / (1 + r.dual_size), r.gap / (1 + r.gap_size), larger(r.mu, floor)};
  bool found = false;
  for (int c = 0; c < 7; ++c)
    if (now[c] < q.least[i * 7 + c] / 2) {
      q.least[i * 7 + c] = now[c];
      found = true;
    }
  return found;
}

// What to call a problem that is left: polishing does not care how exact the point is.
__device__ Int left_off(const Batch& q, Int iteration, const Norms& r) {
  return q.barrier == 0 && merit(r) < CLOSE ? NEAR - iteration : GIVEN_UP;
}

// What becomes of problem i, for one thread.
__device__ Int verdict(const Batch& q, Int i, Int iteration, const Norms& r) {
  if (is_solved(q, r)) return iteration;
  if (has_halved(q, i, r)) q.progress[i] = iteration;
  const double* allowed = q.allowed + i * 2;
  bool rows = r.equalities <= larger(allowed[0], q.tol * sqrt(1 + r.primal_size));
  bool dual = r.dual <= larger(allowed[1], q.tol * sqrt(1 + r.dual_size));
  bool stuck = iteration - q.progress[i] >= STALL || iteration == q.max_iter;
  return rows && dual && !stuck ? RUNNING : left_off(q, iteration, r);
}

// Judge the point of each problem; where it goes on, write the system of the next step.
extern "C" __global__ void __launch_bounds__(MOST_THREADS, 2)
judge(const Batch* batch, Int iteration) {
  const Batch& q = *batch;
  Int i = running_problem(q);
  int M = inequalities(q);
  if (i < 0) return;
  Vectors v = vectors_of(q, blockIdx.x);
  Norms r = evaluate(q, i, v, point_of(q, i));
  if (threadIdx.x == 0) {
    q.state[i] = verdict(q, i, iteration, r);
    if (q.state[i] == RUNNING) atomicAdd(q.live + iteration, 1);
    v.norms[EQUALITIES] = r.equalities, v.norms[STATIONARITY] = r.dual, v.norms[MU] = r.mu;
    v.norms[LEFT] = (double)left_off(q, iteration, r);
  }
  __syncthreads();
  if (q.state[i] != RUNNING) return;
  const double *s = q.s + i * M, *lam = q.lam + i * M;
  const unsigned char* present = q.present.at(i);
  EACH(row, M) {
    v.per_s[row] = present[row] ? 1 / s[row] : 0;
    v.per_lam[row] = present[row] ? 1 / lam[row] : 0;
    v.w[row] = lam[row] * v.per_s[row];
  }
  __syncthreads();
  condense(q, i, blockIdx.x, v);
}

// Largest steps that keep s, and lam, from below zero; the same for both unless Q is zero.
__device__ void lengths(const Batch& q, Int i, const Vectors& v, double& alpha, double& beta) {
  double fall[2] = {KEEP_OFF, KEEP_OFF};
  EACH(row, inequalities(q)) {
    fall[0] = larger(fall[0], -v.ds[row] * v.per_s[row]);
    fall[1] = larger(fall[1], -v.dlam[row] * v.per_lam[row]);
  }
  over_block(fall, 0);
  if (!q.linear[i]) fall[0] = fall[1] = larger(fall[0], fall[1]);
  alpha = 1 / fall[0], beta = 1 / fall[1];
}

// Newton's step towards lam_i s_i = centre - corrector_i.
__device__ void newton_to(const Batch& q, Int i, const Vectors& v, double centre, bool corrected) {
  int M = inequalities(q);
  const double* s = q.s + i * M;
  const unsigned char* present = q.present.at(i);
  EACH(row, M) {
    double aim = (centre - (corrected ? v.ds[row] * v.dlam[row] : 0)) * v.per_lam[row];
    v.target[row] = present[row] ? s[row] - v.r_c[row] - aim : 0;
    v.ds[row] = present[row] ? aim - s[row] : 0;
  }
  solve(q, i, blockIdx.x, v);
  EACH(row, M) v.ds[row] -= s[row] * v.per_lam[row] * v.dlam[row];
}

// Mehrotra's predictor and corrector; where that goes astray, a plain step to the centre.
__device__ void direction(const Batch& q, Int i, const Vectors& v, double& alpha, double& beta) {
  int M = inequalities(q);
  const double *s = q.s + i * M, *lam = q.lam + i * M, mu = v.norms[MU];
  newton_to(q, i, v, q.barrier, false);
  lengths(q, i, v, alpha, beta);
  double r[2] = {};
  EACH(row, M) {
    r[0] += (s[row] + alpha * v.ds[row]) * (lam[row] + beta * v.dlam[row]);
    r[1] += v.per_s[row] > 0;
  }
  over_block(r, 2);
  double share = r[0] / (r[1] > 0 ? r[1] : 1) / (mu > 0 ? mu : 1);
  newton_to(q, i, v, larger(share * share * share * mu, q.barrier), true);
  lengths(q, i, v, alpha, beta);
  if (alpha < POOR || beta < POOR) {
    newton_to(q, i, v, larger(PLAIN * mu, q.barrier), false);
    lengths(q, i, v, alpha, beta);
  }
}

// The share of a step to the boundary that is taken.
__device__ double kept(double step) {
  double share = step < SHORT ? KEEP_WELL_OFF : KEEP_OFF;
  return share * step < 1 ? share * step : 1;
}

// Find the direction of each problem, and follow it as far as s and lam stay positive.
extern "C" __global__ void __launch_bounds__(MOST_THREADS, 2) advance(const Batch* batch) {
  const Batch& q = *batch;
  Int i = running_problem(q);
  int M = inequalities(q);
  if (i < 0) return;
  Vectors v = vectors_of(q, blockIdx.x);
  if (!take_factors(q, i, blockIdx.x, v)) return;
  double alpha, beta;  // a step that is NaN shows when its end is judged
  direction(q, i, v, alpha, beta);
  alpha = kept(alpha), beta = kept(beta);
  EACH(j, q.n) q.x[i * q.n + j] += alpha * v.dx[j];
  EACH(a, q.k) q.nu[i * q.k + a] += beta * v.dnu[a];
  EACH(row, M) {
    q.s[i * M + row] += alpha * v.ds[row];
    q.lam[i * M + row] += beta * v.dlam[row];
  }
  if (threadIdx.x == 0) {
    bool clear = alpha > POOR && beta > POOR;
    q.allowed[i * 2] = clear ? (1 - alpha / 2) * v.norms[EQUALITIES] : BIG;
    q.allowed[i * 2 + 1] = clear ? (1 - beta / 2) * v.norms[STATIONARITY] : BIG;
  }
}
