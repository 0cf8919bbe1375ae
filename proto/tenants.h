/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tenants - which repositories a worker serves: a comma separated list of the beginnings of their names; "" is all.
 *
 *   "team-a,labs/x"   serves team-a, team-a/app, labs/x, labs/x/y; not team-ab, nor labs
 *
 * Bounds: TENANTS_MAX bytes, TENANTS_EACH of them.
 * Thread  any; pure.
 */
#pragma once

#include "common/error.h"
#include "common/str.h"

#define TENANTS_MAX  1024u
#define TENANTS_EACH 64u

/* Each is as the name of a repository. */
bool tenants_check(struct str tenants, struct error *err) MUST_CHECK;
bool tenants_have(struct str tenants, struct str name);
