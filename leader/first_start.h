/* SPDX-License-Identifier: Apache-2.0 */
/*
 * first_start - what must be there before anybody can ask: an admin, the settings, the ring.
 */
#pragma once

#include "common/error.h"
#include "proto/entity.h"

struct leader;
struct leader_settings;
/* Makes what is missing, as one write. A password that had to be made up is printed on stderr, once. */
bool first_start(struct leader *leader, struct error *err) MUST_CHECK;
struct cluster_settings first_start_cluster(const struct leader_settings *settings);
/* Whether this is an enabled user with the role admin. */
bool first_start_is_admin(const struct user *user);
