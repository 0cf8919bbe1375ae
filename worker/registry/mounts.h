/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mounts - blobs that are being brought from other workers: which are under way, and who waits for one of them.
 *
 *     mounts_enter() --GO--> it is brought, on this thread --mounts_leave()--> whoever waits is told to come again
 *                    --WAITS--> holds no thread; again() runs later
 *                    --FULL--> do without
 *
 * A digest is brought once at a time, whoever wants it: who waited finds it here. MOUNTS_MOST are under way at a time, MOUNTS_EACH of
 * one client, so that one whose source is slow does not take the threads of all; MOUNTS_WAITING wait.
 * Thread  any.
 */
#pragma once

#include <stdbool.h>

#include "common/cleanup.h"
#include "common/str.h"
#include "proto/digest.h"

#define MOUNTS_MOST    8
#define MOUNTS_EACH    4
#define MOUNTS_WAITING 256

enum mounts_step { MOUNTS_GO, MOUNTS_WAITS, MOUNTS_FULL };
/* failed: the very blob was asked for, and could not be had. */
typedef void mounts_again_f(void *arg, bool failed);

struct mounts;
struct mounts *mounts_new(void);
void mounts_free(struct mounts *mounts); /* nobody is in it, or waits */
AUTO_DEFINE(mounts)
/* client: whoever is counted as one. WAITS: again(arg) runs once, on the thread of who leaves. */
enum mounts_step mounts_enter(struct mounts *mounts, const struct digest *digest, struct str client, mounts_again_f *again, void *arg) MUST_CHECK;
/* Behind GO, once. */
void mounts_leave(struct mounts *mounts, const struct digest *digest, struct str client, bool failed);
