// Constants of the method, as in the Python core: tests compare the two.
#pragma once

namespace kktdiff {
namespace {

constexpr double BIG = 1e300, INFINITE = 1e20;
constexpr double ROUNDING = 16 * 2.220446049250313e-16;
constexpr double CURVATURE = 1e-10;
constexpr double MAX_REGULARISATION = 1e-8, MIN_REGULARISATION = 1e-15;
constexpr double SPARSE_PROXIMAL = 1e-9;  // of sparse systems, at a solution
constexpr int STALL = 6;
constexpr double STIFF = 1e6;       // _kkt/system.py
constexpr double SINGULAR = 1e-10;  // _kkt/factors.py
constexpr double STEP_FRACTION = 0.995, STEP_FRACTION_SHORT = 0.9, SHORT_STEP = 0.8;  // mehrotra.py
constexpr double SHORT_FOR_RESTART = 0.1, ALMOST_FEASIBLE = 1e-2, MOST_PRICE = 1e6;
constexpr double ORDINARY = 10.0;  // scaling.py
constexpr double LEAST_PRODUCT = 1e-2, MIN_STEP = 0.05;
constexpr double CENTRING_LOW = 0.3, CENTRING_HIGH = 0.7;
constexpr double STEP_ACCURACY = 1e-10;  // newton.py
constexpr double PROXIMAL = 1e-11, ROUNDING_TOL = 8 * ROUNDING,
                 POLISH_LOOSE = 1e-5;   // active_set.py
constexpr double POLISH_TRY = 1e-4;     // driver.py
constexpr double CONTRADICTION = 2e-6;  // _settings.py
constexpr double EXACT = 1e-7, STEEP = 1e-5, FEASIBLE = 1e-5,
                 WORTH_A_LOOK = 1e-2;  // certificates.py
constexpr double SURE = 1e-3, NEARBY = 1e3;
constexpr double TERM_FLOOR = 1e-6, LEAST_MU = 1e-17, CEILING = 1e8;  // termination.py

}  // namespace
}  // namespace kktdiff
