/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/verify.h"

#include "common/setting_files.h"
#include "common/tls_files.h"
#include "s3/s3_credentials.h"
#include "worker/auth/htpasswd.h"
#include "worker/cluster/cluster_new.h"
#include "worker/cluster/state_file.h"
#include "worker/settings_cluster.h"
#include "worker/settings_events.h"
#include "worker/settings_http.h"
#include "worker/storage/store.h"
#include "worker/worker.h"

static bool check_tls(const struct worker_settings *s, struct error *err)
{
	const struct tls_paths paths = settings_http_tls(s);

	return tls_files_check(&paths, err) ||
	       error_add(err, "http.tls (ZOT_TLS_CERT, ZOT_TLS_KEY, ZOT_TLS_CA)");
}

static bool check_peer_tls(const struct worker_settings *s, struct error *err)
{
	return setting_check_readable(s->peer_ca, "cluster.tls.cacert (ZOT_PEER_CA)", err) &&
	       setting_check_readable(s->peer_cert, "cluster.tls.cert (ZOT_PEER_CERT)", err) &&
	       setting_check_readable(s->peer_key, "cluster.tls.key (ZOT_PEER_KEY)", err) &&
	       setting_check_readable(s->s3_ca, "S3_CA", err);
}

static bool check_htpasswd(const struct worker_settings *s, struct error *err)
{
	AUTO(htpasswd) *htpasswd = NULL;

	return !s->htpasswd || htpasswd_open(&htpasswd, s->htpasswd, err) ||
	       error_add(err, "http.auth.htpasswd.path (ZOT_HTPASSWD)");
}

static bool check_member(const struct worker_settings *s, struct error *err)
{
	const struct member_settings member = settings_cluster(s);
	AUTO(cluster) *cluster = NULL;

	return cluster_new(&cluster, &member, (uint16_t)s->port, err);
}

static bool check_root(const struct worker_settings *s, const char *key, struct error *err)
{
	AUTO(store) *store = NULL;

	return s->s3_bucket ? worker_open_store(s, &store, err) : setting_check_folder(s->root, key, err);
}

static bool check_store(const struct worker_settings *s, struct error *err)
{
	struct worker_settings first = *s;

	first.subs_len = 0;
	if (!check_root(&first, "storage.rootDirectory (ZOT_STORAGE_ROOT)", err))
		return false;
	for (size_t i = 0; i < s->subs_len; i++)
		if (!check_root(&s->subs[i], "storage.subPaths", err))
			return false;
	return true;
}

static bool check_folders(const struct worker_settings *s, struct error *err)
{
	return setting_check_folder(s->data, "data (ZOT_WORKER_DATA)", err) &&
	       setting_check_folder(s->spool, "storage.spool (ZOT_SPOOL)", err);
}

static bool check_state_file(const struct worker_settings *s, struct error *err)
{
	return setting_check_own_file(s->db_path, STATE_FILE_BEGINS, "CLUSTER_WORKER_DB_PATH", err);
}

static bool check_logs(const struct worker_settings *s, struct error *err)
{
	return setting_check_in_folder(s->log_output, "log.output (ZOT_LOG_OUTPUT)", err) &&
	       setting_check_in_folder(s->log_audit, "log.audit (ZOT_LOG_AUDIT)", err);
}

static bool check_address(const struct worker_settings *s, struct error *err)
{
	return setting_check_address(s->address, "http.address (ZOT_WORKER_ADDRESS)", err);
}

void worker_verify(const struct worker_settings *settings, struct buf *errors)
{
	static bool (*const checks[])(const struct worker_settings *s, struct error *err) = { check_address,
		check_tls, check_peer_tls, check_htpasswd, check_member, check_store, check_folders,
		check_state_file, check_logs, settings_events_check };

	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		struct error err;

		if (!checks[i](settings, &err))
			buf_format(errors, "%s\n", err.text);
	}
}

void worker_verify_tell(const struct worker_settings *settings, struct buf *into)
{
	AUTO(s3_credentials) *credentials = NULL;
	struct error err;

	if (!settings->s3_bucket)
		return;
	if (s3_credentials_new(&credentials, &settings->aws, settings->s3_region, &err))
		buf_format(into, "keys of the bucket %s: %s\n", settings->s3_bucket,
			s3_credentials_source(credentials));
}
