/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settings - zot-leader's knobs: a JSON file or variables alone. The rows are in leader_settings.def.
 */
#pragma once

#include "common/settings.h"

struct leader_settings {
	const char *address;
	int64_t port;
	const char *data;                 /* folder of the SQLite file */
	const char *admin_user, *admin_password;
	const char *tls_cert, *tls_key;   /* paths */
	int mode;                         /* CLUSTER_MODE: off, leader, worker */
	int64_t compression;              /* -1..9 */
	const char *name, *host, *client_id, *client_secret;
	int64_t cache_state_ms;
	const char *dump_path;
	const char *hash_key;             /* 32 hex, or NULL: random at first start */
	bool isolated;
	int log_level, log_format;
};
extern const struct settings_table leader_settings_table;
bool leader_settings_load(const char *file, char *const *environment, struct leader_settings *ret,
			  struct settings_memory **ret_memory, struct buf *warnings, struct buf *errors) MUST_CHECK;
