/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settings - zot-worker's knobs: zot's JSON file, and a variable for each.
 *
 * The rows are in worker_settings.def; this is what they fill. Read once into an immutable struct.
 */
#pragma once

#include "backup/backup_settings.h"
#include "common/settings.h"
#include "s3/s3_identity.h"
#include "worker/auth/rate_limit.h"

enum worker_mode { MODE_OFF, MODE_LEADER, MODE_WORKER }; /* CLUSTER_MODE; MODE_OFF with members is a static cluster */

enum worker_switch { SWITCH_AUTO, SWITCH_ON, SWITCH_OFF }; /* "auto|true|false" */
enum worker_scrub { SCRUB_AUTO, SCRUB_ON, SCRUB_OFF }; /* extensions.scrub.enable */
enum worker_isolated { ISOLATED_AUTO, ISOLATED_YES, ISOLATED_NO };

struct worker_settings {
	/* http */
	const char *address;
	int64_t port;
	const char *realm;
	const char *tls_cert, *tls_key, *tls_ca;     /* paths */
	int64_t read_timeout_ms, write_timeout_ms;   /* without progress */
	int64_t drain_delay_ms;                      /* leave.h */
	int64_t rate_limit;
	const struct json *rate_limit_methods_node;
	struct setting_list rate_limit_methods;
	struct rate_rules rate_rules;                /* of the three above */
	struct setting_list trusted_proxies;
	struct setting_list compat;                  /* "docker2s2" */
	const char *htpasswd;                        /* path */
	bool apikey;                                 /* users make API keys for themselves; with leaders they always may */
	int64_t fail_delay_s, login_remember_ms;
	struct {
		struct setting_list attributes;
		const char *uri_pattern;
		int64_t uri_index, dns_index, email_index;
	} mtls;                                      /* worker/auth/cert_identity.h */
	const struct json *access_control;           /* zot's http.accessControl */
	const struct json *ldap, *bearer, *openid; /* not served */
	/* storage */
	const char *root;
	const struct json *sub_paths;                /* zot's storage.subPaths, or: */
	const char *sub_paths_text;                  /* the same as JSON */
	const struct json *retention;                /* zot's storage.retention (settings_retention.h), or: */
	const char *retention_text;                  /* the same as JSON */
	struct worker_settings *subs;                /* of these (settings_roots.h): settings like these whose storage is their own */
	size_t subs_len;
	const char *sub_path;                        /* of one of those: "a" */
	bool dedupe;                                 /* folder: the same blob in several repositories takes its bytes once */
	const struct json *storage_driver;           /* zot's storage.storageDriver (s3), or NULL */
	const char *s3_bucket, *s3_endpoint, *s3_region, *s3_prefix;
	const char *s3_ca;
	bool s3_path_style, s3_insecure;
	struct s3_identity aws;
	struct {                                     /* the rest of zot's keys for it; s3/s3_endpoint.h says what they do */
		bool encrypt, v4auth, dual_stack, accelerate, fips;
		const char *key_id, *storage_class, *acl, *user_agent, *redirect_endpoint;
		int64_t part_size, copy_part_size, copy_whole_max, copy_parallel;
	} s3;
	bool redirect;                               /* GET of a blob in a bucket: the client is sent there */
	int64_t redirect_ms;
	bool unsafe_no_conditional_writes;
	const char *spool;                           /* folder; default: <data>/spool */
	int64_t spool_limit;
	int64_t spool_share, uploads_per_client;
	const char *cache;                           /* folder of the copies of a bucket's blobs, or NULL */
	int64_t cache_bytes;
	int64_t index_cache_bytes, manifest_cache_bytes;
	const char *data;                            /* this worker's own folder: spool, journal, state */
	/* cluster */
	int mode;                                    /* enum worker_mode */
	struct setting_list members;                 /* zot's cluster.members */
	struct setting_list leaving;                 /* some of them */
	const char *hash_key;                        /* zot's cluster.hashKey: 16 bytes */
	const char *peer_ca, *peer_cert, *peer_key;  /* zot's cluster.tls */
	const char *name, *self_url, *zone, *secret, *instance_number;
	const char *tenants;          /* proto/tenants.h */
	bool check_self_url;
	bool peer_channel;
	struct setting_list leader_urls;
	const char *leader_host, *leader_client_id, *leader_client_secret;
	int64_t poll_every_ms, poll_timeout_ms, push_every_ms, push_timeout_ms, retry_delay_ms, retry_factor;
	int64_t stale_after_ms;
	bool ready_when_stale;
	bool require_blobs;
	const char *file;           /* that they came from, or NULL */
	int64_t index_log_bytes, index_log_keep_ms, pulls_every_ms;
	int64_t import_every_ms, s3_import_every_ms;
	int64_t push_bytes, abandoned_ms;
	bool gc;
	int64_t max_repos;
	int64_t gc_delay_ms, gc_every_ms;
	const char *gc_window;                       /* "22:30-04:00", UTC */
	int scrub;                                   /* enum worker_scrub; settings_scrubs() */
	int64_t scrub_every_ms, scrub_rate;          /* 0: not set; bytes a second */
	bool long_poll;
	const char *db_path;                         /* the last good state */
	int isolated;                                /* enum worker_isolated; static clusters: storage is each member's own */
	int64_t move_grace_ms, move_rate;            /* of repositories that go to another member; bytes a second */
	int lint;                                    /* enum worker_switch */
	struct setting_list lint_annotations;        /* settings_lint() */
	bool search, ui;                             /* zot's extensions */
	int userprefs;                               /* enum worker_switch; settings_has_prefs() */
	bool trust, trust_cosign, trust_notation;    /* settings_trust() */
	bool metrics;
	const char *metrics_path;                    /* "/metrics" */
	bool events;
	const struct json *events_sinks;             /* zot's extensions.events.sinks (settings_events.h), or: */
	const char *events_sinks_text;               /* the same as JSON */
	const char *events_source, *events_type_prefix;
	int64_t events_queue;
	struct event_sink_settings *event_sinks;     /* of those, checked (worker/events/events.h) */
	size_t event_sinks_len;                      /* 0: events are off */
	/* this process */
	int64_t loops, pool_threads, connections;
	bool core_dumps;
	int64_t state_limit;
	int log_level;                               /* enum log_level */
	int log_format;
	const char *log_output, *log_audit;
	struct backup_settings backup;
};

extern const struct settings_table worker_settings_table;
/* Is rot looked for, and from one begin to the next. */
bool settings_scrubs(const struct worker_settings *s);
int64_t settings_scrub_every_ms(const struct worker_settings *s);
/* Do users star and bookmark repositories. */
bool settings_has_prefs(const struct worker_settings *s);
/* By whose signatures images are trusted: TRUST_BY_... (worker/trust/signers.h); 0: by nobody's. */
unsigned settings_trust(const struct worker_settings *s);
/* What is demanded of images; NULL: nothing. */
const struct setting_list *settings_lint(const struct worker_settings *s);
/* file NULL: environment only. Everything that is wrong is appended to *errors, one a line; checks
 * what the table cannot (combinations). */
bool worker_settings_load(const char *file, char *const *environment, struct worker_settings *ret,
			  struct settings_memory **ret_memory, struct buf *warnings, struct buf *errors) MUST_CHECK;
