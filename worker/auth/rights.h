/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rights - what an identity may by a snapshot: proto/access.h, asked for those that auth.h knows.
 *
 * Thread  any.
 */
#pragma once

#include "proto/access.h"

struct identity;
struct snapshot;

struct access_decision rights_decide(
	const struct snapshot *snapshot, const struct identity *identity, struct str name, enum action action);
bool rights_allow(const struct snapshot *snapshot, const struct identity *identity, struct str name, enum action action);
/* May begin and end what the worker does by itself. */
bool rights_is_admin(const struct snapshot *snapshot, const struct identity *identity);
bool rights_allow_metrics(const struct snapshot *snapshot, const struct identity *identity);
