/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oci_may - may this client do that, in the repository that it names? For the rows of oci_routes.def.
 *
 * What is asked is a struct oci_call whose identity and snapshot are known.
 * Thread  any.
 */
#pragma once

#include "common/route.h"
#include "proto/access.h"
#include "worker/oci/oci_ask.h"

route_authorise_f oci_may_base;   /* look at what is of no repository */
route_authorise_f oci_may_read;
route_authorise_f oci_may_create;
route_authorise_f oci_may_push;   /* create or update: which of the two it must be, the endpoint decides */
route_authorise_f oci_may_delete;

/* What is refused to who asks, and what decided it; of the rights that would do, the first one. False: none of its row's is. */
bool oci_may_refused(const struct oci_ask *ask, enum action *ret_action, struct access_decision *ret);
