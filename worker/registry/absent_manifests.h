/* SPDX-License-Identifier: Apache-2.0 */
/*
 * absent_manifests - manifests that an index lists and whose bytes were found to be gone, or set aside: who asks whether one of these is there is not
 * answered from the index alone, or he would not push it again.
 *
 * A hint: the store is asked for one that is in it, and it goes when it is there. Bounded: of more than ABSENT_MAX the oldest go.
 * Thread  any. Where there are none, as a rule, a question costs one read of a number.
 */
#pragma once

#include <stdbool.h>

#include "common/cleanup.h"
#include "proto/digest.h"

#define ABSENT_MAX 256u

struct absent_manifests;
struct absent_manifests *absent_manifests_new(void);
void absent_manifests_free(struct absent_manifests *absent);
AUTO_DEFINE(absent_manifests)
void absent_manifests_add(struct absent_manifests *absent, const struct digest *digest);
bool absent_manifests_has(struct absent_manifests *absent, const struct digest *digest);
void absent_manifests_forget(struct absent_manifests *absent, const struct digest *digest);
