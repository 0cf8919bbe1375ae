/* SPDX-License-Identifier: Apache-2.0 */
/*
 * usage_admit - what usage.c and usage_bytes.c share: a call asks for a grant of each of some quotas.
 *
 * Thread  the call's loop.
 */
#pragma once

#include "worker/cluster/usage_bytes.h"
#include "worker/cluster/usage_priv.h"

enum admission usage_admit_of(struct usage *usage, const struct admission_ask *ask, const struct quotas_of *of, size_t len,
			      struct admission_info *info);
/* The quotas of these bytes, for so many more of them. Once they are admitted they are taken. */
size_t usage_bytes_apply(const struct usage_bytes *bytes, uint64_t units, struct quotas_of *into);
void usage_bytes_took(struct usage_bytes *bytes, uint64_t units);
