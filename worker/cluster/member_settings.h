/* SPDX-License-Identifier: Apache-2.0 */
/*
 * member_settings - what a worker must be told to be one of several.
 *
 *   led                leaders say who the members are
 *   members, not led   a static cluster: the list says it
 *   neither            alone
 *
 * A plain value. Its texts, lists and rules are borrowed from whoever fills it, until the cluster's end; each text may be
 * NULL, unless it says otherwise.
 */
#pragma once

#include "backup/backup_settings.h"
#include "common/settings.h"

struct member_settings {
	/* Among whom. */
	bool led;
	struct setting_list members; /* "host:port", in zot's order */
	struct setting_list leaving; /* those of them that own nothing any more */
	const char *hash_key;        /* of the members' ring: 16 bytes; not NULL where there are members */
	bool isolated;               /* each member's storage is its own */
	const char *secret;          /* of the calls between workers, before any that the leaders give */

	/* Who we are. */
	const char *name, *instance_number; /* self_name() */
	const char *self_url;               /* as far as it is given: self_url() */
	const char *listens;                /* the address that we listen on; "0.0.0.0" or "::": all */
	bool check_self_url;                /* led: it is in no ring before it has reached itself there (hello.h) */
	const char *zone;                   /* not NULL where led */
	const char *tenants;                /* of repositories that we serve (proto/tenants.h); the same */
	bool https;                         /* we listen so, and so do the members of a static cluster */

	/* Who may come in, beside whom the leaders name: snapshot_new.h. */
	const struct json *access_control;
	bool has_htpasswd, has_certificates;

	/* Leaders. */
	struct setting_list leader_urls;
	const char *leader_host;                             /* the Host of calls to them */
	const char *leader_client_id, *leader_client_secret; /* not NULL where led */
	const char *ca_file, *cert_file, *key_file;          /* towards https leaders */
	bool long_poll;
	int64_t poll_every_ms, poll_timeout_ms; /* for the state */
	int64_t push_every_ms, push_timeout_ms; /* of reports, until a leader says how often */
	int64_t retry_delay_ms, retry_factor;   /* after a failure, growing */
	int64_t state_limit;                    /* bytes of a state, expanded */

	/* On disk. */
	const char *data;       /* our own folder: state and journal; not NULL where led */
	const char *state_file; /* NULL: state.bin in that folder */

	/* Where the leaders' backup of the state lies, for who has none; NULL: it is not read. */
	const struct backup_settings *backup;
};
