/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settings - zot-leader's knobs: a JSON file or variables alone. The rows are in leader_settings.def.
 */
#pragma once

#include "backup/backup_settings.h"
#include "common/settings.h"

enum { LEADER_MODE_OFF, LEADER_MODE_LEADER, LEADER_MODE_WORKER };

struct leader_settings {
	const char *address;
	int64_t port;
	bool pages;                       /* for browsers, at / */
	const char *data;                 /* folder of the SQLite file */
	const char *redis_url, *redis_prefix; /* url NULL or "": the SQLite file */
	const char *sentinel_user, *sentinel_password; /* NULL or "": sentinels let in everybody */
	const char *admin_user, *admin_password;
	const char *tls_cert, *tls_key;   /* paths */
	struct setting_list trusted_proxies;
	int64_t drain_delay_ms;
	int64_t audit_days, audit_rows;
	int mode;                         /* LEADER_MODE_... */
	int64_t compression;              /* -1..9 */
	const char *name, *instance_number, *host, *client_id, *client_secret;
	bool own_credentials;
	int64_t cache_state_ms;
	const char *dump_path;
	const char *hash_key;             /* 32 hex, or NULL: random at first start */
	bool isolated;                    /* at first start */
	const char *secret;               /* of calls between workers: asks one for its state */
	const char *replaces;             /* id of a cluster that is given up, or NULL */
	int log_level;                    /* enum log_level */
	int log_format;                   /* 0 logfmt, 1 json */
	int64_t pool_threads, connections, login_remember_ms;
	bool core_dumps;
	struct s3_identity aws;
	struct backup_settings backup;
};
extern const struct settings_table leader_settings_table;
bool leader_settings_load(const char *file, char *const *environment, struct leader_settings *ret,
			  struct settings_memory **ret_memory, struct buf *warnings, struct buf *errors) MUST_CHECK;
