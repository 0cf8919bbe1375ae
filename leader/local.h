/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local - how a command on this machine reaches the leader that runs: the file leader.local in its data folder.
 *
 * It says where the leader listens and a secret of this process that opens GET /api/cluster/backup and nothing else: whoever may
 * read that folder has the store itself. 0600; written at each start.
 * Thread  start-up, or a command.
 */
#pragma once

#include "common/error.h"

#define LOCAL_SECRET_SIZE 65
#define LOCAL_URL_SIZE 128

struct local {
	char url[LOCAL_URL_SIZE];          /* "http://127.0.0.1:8080" */
	char secret[LOCAL_SECRET_SIZE];    /* hex */
};
struct leader_settings;
/* Of a leader that listens on this port: a new secret, written. */
bool local_write(const struct leader_settings *settings, unsigned port, struct local *ret, struct error *err) MUST_CHECK;
bool local_read(const struct leader_settings *settings, struct local *ret, struct error *err) MUST_CHECK;
/* Is this value of Authorization that of `local`? In constant time. */
bool local_is(const struct local *local, const char *authorization);
