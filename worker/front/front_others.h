/* SPDX-License-Identifier: Apache-2.0 */
/*
 * front_others - the other workers as endpoints see them (worker/oci/oci_others.h), where each has a storage of its own.
 *
 * A blob is read there as
 *
 *     GET /v2/<name>/blobs/<digest>?judge=1, Range, signed by us, as the client
 *
 * `judge` makes the receiver of a peer's call look at the client's rights itself, which it else leaves to the peer (front_auth.c). A client
 * that says it is only looked at once more.
 * Life    front_others_init() before the loops run; what it points to lives as long as the front.
 */
#pragma once

#include "worker/oci/oci_others.h"

struct front;

#define FRONT_JUDGE_QUERY "judge"

void front_others_init(struct front *front);
void front_others_fini(struct front *front);
