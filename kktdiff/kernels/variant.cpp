// Every kernel for one instruction set: compiled once for each, with VARIANT, LANES and its flags.
//
// All but the table is in anonymous namespaces, and nothing of the standard library is used, so
// that no function with this file's instructions can stand in for another file's.
#include "derive.hpp"
#include "forms.hpp"
#include "outer.hpp"
#include "solve.hpp"
#include "vjp.hpp"

using namespace kktdiff;

#define NAMED(variant) table_##variant
#define TABLE(variant) NAMED(variant)
#define QUOTED(variant) #variant
#define TEXT(variant) QUOTED(variant)

extern const kktdiff::Table kktdiff::TABLE(VARIANT) = {
    TEXT(VARIANT), LANES,         outer,          solve,         derive,        vjp,
    forms,         solve_doubles, derive_doubles, forms_doubles, helper_doubles};
