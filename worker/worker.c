/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/worker.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/few_each.h"
#include "common/file.h"
#include "common/file_lock.h"
#include "common/http_client.h"
#include "common/http_server.h"
#include "common/http_tickets.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/pool.h"
#include "common/proxies.h"
#include "common/supervisor.h"
#include "proto/state_token.h"
#include "s3/s3_endpoint.h"
#include "worker/accounts/own_keys.h"
#include "worker/accounts/own_prefs.h"
#include "worker/accounts/own_trust.h"
#include "worker/accounts/prefs.h"
#include "worker/auth/auth_new.h"
#include "worker/auth/peer_guard.h"
#include "worker/auth/rate_limit.h"
#include "worker/chores/chores.h"
#include "worker/chores/metadata_chore.h"
#include "worker/cluster/ask_gate.h"
#include "worker/cluster/channel_spread.h"
#include "worker/cluster/cluster_new.h"
#include "worker/cluster/usage_new.h"
#include "worker/events/events.h"
#include "worker/front/audit.h"
#include "worker/front/front.h"
#include "worker/front/front_others.h"
#include "worker/front/front_refused.h"
#include "worker/housework.h"
#include "worker/leave.h"
#include "worker/oci/blob_fills.h"
#include "worker/metadata/metadata.h"
#include "worker/moves/moves.h"
#include "worker/registry/registry.h"
#include "worker/reload.h"
#include "worker/search/search.h"
#include "worker/retention_rules.h"
#include "worker/settings_cluster.h"
#include "worker/settings_http.h"
#include "worker/settings_roots.h"
#include "worker/storage/blob_cache.h"
#include "worker/storage/spool.h"
#include "worker/storage/store.h"
#include "worker/storage/store_roots.h"
#include "worker/trust/signers.h"
#include "worker/worker_stats.h"

#define LOOPS_MAX      256
#define POOL_QUEUE_MAX 10000
#define DATA_WAIT_MS   2000 /* for a process that ends just now */

#define DAY_MS      86400000
#define HEAD_MAX_MS 10000u /* for a request's head, at most */

#define RELOAD_EVERY_MS 1000

#define BEAT_EVERY_MS 1000

#define BUCKET_WAIT_MS 9000 /* a call to it fails after S3_SOON_MS; some requests make two */

struct worker_process {
	struct worker worker; /* first */
	struct housework *housework;
	int64_t started_s; /* wall clock */
	pthread_t threads[LOOPS_MAX];
	unsigned threads_len;
	unsigned connections; /* that we have descriptors for */
	uint16_t port;
	struct tls_files tls_files;
	struct http_tls tls;
	struct http_tickets *tickets; /* of TLS, for all loops */
	int signals;
	int data_lock; /* -1: none */
	struct reload *reload;
};

/* Peers, leaders, S3. */
static bool calls_others(const struct worker_settings *settings)
{
	return settings->mode == MODE_WORKER || settings->members.len || settings_has_bucket(settings) ||
	       settings->event_sinks_len;
}

static bool is_clustered(const struct worker_settings *settings)
{
	return settings->mode == MODE_WORKER || settings->members.len > 1;
}

/* Storage. */

/* One folder or bucket. */
static bool open_root(const struct worker_settings *s, struct store **ret, struct error *err)
{
	struct s3_settings s3 = { .endpoint = s->s3_endpoint,
		.region = s->s3_region,
		.bucket = s->s3_bucket,
		.prefix = s->s3_prefix ? s->s3_prefix : "",
		.identity = &s->aws,
		.path_style = s->s3_path_style,
		.insecure = s->s3_insecure,
		.ca_file = s->s3_ca,
		.part_size = (uint64_t)s->s3.part_size,
		.copy_whole_max = (uint64_t)s->s3.copy_whole_max,
		.copy_part_size = (uint64_t)s->s3.copy_part_size,
		.copy_parallel = (unsigned)s->s3.copy_parallel,
		.dual_stack = s->s3.dual_stack,
		.accelerate = s->s3.accelerate,
		.fips = s->s3.fips,
		.encryption = !s->s3.encrypt ? NULL
			      : s->s3.key_id ? "aws:kms"
					     : "AES256",
		.encryption_key = s->s3.key_id,
		.acl = s->s3.acl,
		.storage_class = s->s3.storage_class,
		.user_agent = s->s3.user_agent,
		.redirect_endpoint = s->s3.redirect_endpoint,
		.v2 = !s->s3.v4auth,
		.abandoned_ms = s->abandoned_ms,
		.renew_ms = s->gc ? s->gc_delay_ms / 2 + 1 : 0 };

	if (s->s3_bucket)
		return store_s3_open(ret, &s3, err);
	if (!file_make_folders(s->root, 0700, err) || !store_fs_open(ret, s->root, err))
		return false;
	store_fs_set_dedupe(*ret, s->dedupe);
	return true;
}

static bool open_sub(const struct worker_settings *s, struct store_part *part, struct error *err)
{
	part->component = s->sub_path;
	return open_root(s, &part->store, err) || error_add(err, "storage.subPaths /%s", s->sub_path);
}

bool worker_open_store(const struct worker_settings *s, struct store **ret, struct error *err)
{
	struct store_part parts[STORE_ROOTS_MAX] = { { NULL } };
	AUTO(store) *first = NULL;
	size_t len = 0;

	if (!s->subs_len)
		return open_root(s, ret, err);
	if (!open_root(s, &first, err))
		return false;
	while (len < s->subs_len && open_sub(&s->subs[len], &parts[len], err))
		len++;
	if (len == s->subs_len)
		*ret = store_roots_new(TAKE(first), parts, len);
	for (size_t i = 0; i < len && first; i++)
		store_free(parts[i].store);
	return !first;
}

/* Who is alone on a folder need not know what happens to two, and the probe's syncs are half of the start. */
static bool probe_store(struct worker *worker, struct error *err)
{
	bool conditional;

	if (!is_clustered(worker->settings) && !settings_has_bucket(worker->settings))
		return store_check(worker->store, err);
	if (!store_probe(worker->store, &conditional, err))
		return error_add(err, "store %s", store_place(worker->store));
	if (conditional || !is_clustered(worker->settings))
		return true;
	worker->front.writes_refused = !worker->settings->unsafe_no_conditional_writes;
	log_warn("store.unsafe",
		"place=%s the store accepts stale conditional writes, so several workers on it can lose "
		"updates; %s",
		log_quote(str_of(store_place(worker->store))),
		worker->front.writes_refused ? "pushes are refused"
					     : "accepted as storage.unsafeNoConditionalWrites is set");
	return true;
}

bool worker_spools_folder(const struct worker_settings *s, struct buf *into)
{
	if (s->spool || s->s3_bucket)
		return false;
	buf_format(into, "%s/.uploads", s->root);
	return true;
}

/* The folder of our uploads beside the repositories has it. */
static const char *name_on_storage(const struct worker *worker)
{
	const char *self =
		worker->settings->name ? worker->settings->name : cluster_self(worker->front.cluster);

	return *self ? self : "single";
}

/* Beside the repositories where a rename brings a blob in; in our own folder where it is sent anyway. */
static void spool_folder(const struct worker *worker, struct buf *into)
{
	const struct worker_settings *s = worker->settings;

	if (s->spool)
		buf_puts(into, s->spool);
	else if (s->s3_bucket)
		buf_format(into, "%s/spool", s->data);
	else
		buf_format(into, "%s/.uploads/", s->root);
	if (!s->spool && !s->s3_bucket)
		buf_url(into, str_of(name_on_storage(worker)), "");
}

/* Before a bucket. */
static bool open_cache(struct worker *worker, struct error *err)
{
	const struct worker_settings *s = worker->settings;
	const struct blob_cache_settings settings = { .folder = s->cache,
		.bytes = (uint64_t)s->cache_bytes,
		.pool = worker->pool,
		.wait_ms = DATA_WAIT_MS };

	return !s->cache || (blob_cache_open(&worker->cache, &settings, err) &&
				    blob_fills_new(&worker->front.fills, worker->store, worker->cache,
					    worker->front.loops_len, err));
}

static bool is_no_link(const char *path, struct error *err)
{
	struct stat st;

	return lstat(path, &st) != 0 || !S_ISLNK(st.st_mode) ||
	       error_set(err, ERROR_INVALID, NULL,
		       "%s is a symbolic link, which is not followed below the storage folder; name the "
		       "folder for "
		       "uploads in storage.spool (ZOT_SPOOL)",
		       path);
}

/* It is emptied at start. */
static bool check_own_spool(const struct worker *worker, const char *folder, struct error *err)
{
	AUTO_FINI(buf) parent = buf_limit(4096);

	if (!worker_spools_folder(worker->settings, &parent))
		return true;
	return is_no_link(buf_text(&parent), err) && is_no_link(folder, err);
}

/* A folder of uploads is a worker's alone, and beside the repositories it is known by its name. */
static bool take_spool(struct worker *worker, const char *folder, struct error *err)
{
	const struct worker_settings *s = worker->settings;

	if (spool_open(&worker->spool, folder, (uint64_t)s->spool_limit, !s->s3_bucket, err))
		return true;
	if (err->kind != ERROR_CONFLICT || s->spool || s->s3_bucket)
		return false;
	return error_add(err,
		"another worker called \"%.60s\" is on this storage, give each a name of its own "
		"(CLUSTER_WORKER_NAME)",
		name_on_storage(worker));
}

static bool open_spool(struct worker *worker, struct error *err)
{
	AUTO_FINI(buf) folder = buf_limit(4096);

	spool_folder(worker, &folder);
	return buf_check(&folder, "storage.spool", err) && check_own_spool(worker, buf_text(&folder), err) &&
	       file_make_folders(buf_text(&folder), 0700, err) && take_spool(worker, buf_text(&folder), err);
}

static bool has_compat(const struct worker_settings *settings, const char *name)
{
	for (size_t i = 0; i < settings->compat.len; i++)
		if (!strcmp(settings->compat.at[i], name))
			return true;
	return false;
}

/* Who may be told the state: a leader that lost it. */
static void open_state_page(struct worker *worker)
{
	const struct worker_settings *s = worker->settings;
	uint8_t key[PEER_KEY_BYTES];

	if (s->mode != MODE_WORKER)
		return;
	state_token_key(s->secret ? s->secret : s->leader_client_secret, key);
	worker->front.state_guard = peer_guard_new(str_from((const char *)key, sizeof(key)),
		STATE_TOKEN_RECEIVER, cluster_process(worker->front.cluster), clock_ms());
	explicit_bzero(key, sizeof(key));
}

static struct entity *find_own_key(void *arg, const char hash[65])
{
	return own_keys_find(arg, hash);
}

static bool open_own_keys(struct worker *worker, struct auth_settings *auth, struct error *err)
{
	if (!worker->settings->apikey)
		return true;
	if (!own_keys_open(&worker->front.own_keys, worker->settings->data, err))
		return error_add(err, "http.auth.apikey");
	auth->own_key = find_own_key;
	auth->own_keys = worker->front.own_keys;
	return true;
}

/* Stars and bookmarks: the leaders', or our own. */
static bool open_prefs(struct worker *worker, struct error *err)
{
	const struct worker_settings *s = worker->settings;

	if (!settings_has_prefs(s))
		return true;
	if (s->mode != MODE_WORKER && !own_prefs_open(&worker->front.own_prefs, s->data, err))
		return error_add(err, "extensions.userprefs");
	worker->front.prefs = prefs_new(worker->front.own_prefs);
	return true;
}

/* Keys of who signs images, where no leaders have them. */
static bool open_trust(struct worker *worker, struct error *err)
{
	const struct worker_settings *s = worker->settings;

	return !settings_trust(s) || s->mode == MODE_WORKER ||
	       own_trust_open(&worker->front.own_trust, s->data, err) || error_add(err, "extensions.trust");
}

/* Who may come in, how often, and where it is written down. */
static bool open_access(struct worker *worker, struct error *err)
{
	const struct worker_settings *s = worker->settings;
	struct cert_identity_rules certificates = settings_http_mtls(s);
	struct auth_settings auth = { .realm = s->realm,
		.htpasswd = s->htpasswd,
		.peer_secret = cluster_key(worker->front.cluster),
		.peer_name = cluster_known_as(worker->front.cluster),
		.fail_delay_ms = s->fail_delay_s * 1000,
		.pool = worker->pool,
		.remember_ms = s->login_remember_ms };

	memcpy(auth.peer_process, cluster_process(worker->front.cluster), sizeof(auth.peer_process));
	if (s->tls_ca)
		auth.certificates = &certificates;
	if (s->log_audit && !audit_open(&worker->front.audit, s->log_audit, worker->pool,
				    &worker->front.loops[0].counters.audit_lost_total, err))
		return false;
	open_state_page(worker);
	worker->front.refusals = front_refused_few();
	worker->front.challenges = front_refused_few();
	worker->front.rate_limit = rate_limit_new();
	rate_limit_set(worker->front.rate_limit, &s->rate_rules);
	if (!open_own_keys(worker, &auth, err) || !open_prefs(worker, err) || !open_trust(worker, err))
		return false;
	return proxies_new(&worker->front.proxies, s->trusted_proxies.at, s->trusted_proxies.len, err) &&
	       auth_new(&worker->front.auth, &auth, err) &&
	       usage_new(&worker->front.usage, worker->front.loops_len, s->mode == MODE_WORKER, err);
}

static bool owns(void *arg, struct str name)
{
	return cluster_owns(arg, name);
}

/* Descriptors are for connections, blobs and uploads. */
static void open_registry(struct worker *worker)
{
	const struct worker_settings *s = worker->settings;
	struct registry_settings settings = { .store = worker->store,
		.spool = worker->spool,
		.pool = worker->pool,
		.cache = worker->cache,
		.self = cluster_self(worker->front.cluster),
		.trust = cluster_trust,
		.trust_arg = worker->front.cluster,
		.index_cache_bytes = (size_t)s->index_cache_bytes,
		.index_log_bytes = (size_t)s->index_log_bytes,
		.index_keep_us = s->index_log_keep_ms * 1000,
		.push_bytes = (uint64_t)s->push_bytes,
		.pulls_every_ms = s->pulls_every_ms,
		.manifest_cache_bytes = (size_t)s->manifest_cache_bytes,
		.uploads = { .sessions = UPLOADS_MAX,
			.sessions_each = (size_t)s->uploads_per_client,
			.files = (size_t)process_stats().fds_max / 4,
			.share = (unsigned)s->spool_share,
			.evict_idle_ms = UPLOAD_EVICT_IDLE_MS },
		.options = { .docker2s2 = has_compat(s, "docker2s2"),
			.require_blobs = s->require_blobs,
			.redirect_s = s->redirect ? (unsigned)(s->redirect_ms / 1000) : 0 } };

	if (settings_lint(s)) {
		settings.options.lint_annotations = s->lint_annotations.at;
		settings.options.lint_annotations_len = s->lint_annotations.len;
	}
	settings.repositories_most = (uint64_t)s->max_repos;
	settings.options.collects = settings_collect(s, &settings.collect_delay_ms);
	worker->front.registry = registry_new(&settings);
	worker->front.registry->owns = owns;
	worker->front.registry->owns_arg = worker->front.cluster;
}

static bool open_events(struct worker *worker, struct error *err)
{
	const struct worker_settings *s = worker->settings;
	AUTO_FINI(buf) folder = buf_limit(4096);
	struct events_settings settings = { .bytes_max = (uint64_t)s->events_queue,
		.source = s->events_source,
		.type_prefix = s->events_type_prefix,
		.sinks = s->event_sinks,
		.sinks_len = s->event_sinks_len,
		.pool = worker->pool,
		.registry = worker->front.registry };

	if (!s->event_sinks_len)
		return true;
	buf_format(&folder, "%s/events", s->data);
	settings.folder = buf_text(&folder);
	return buf_check(&folder, "ZOT_WORKER_DATA", err) &&
	       events_open(&worker->front.events, &settings, err);
}

/* Who is alone has nobody to take from. */
static void open_moves(struct worker *worker)
{
	const struct worker_settings *s = worker->settings;
	struct moves_settings settings = { .cluster = worker->front.cluster,
		.registry = worker->front.registry,
		.pool = worker->pool,
		.ca_file = s->peer_ca,
		.cert_file = s->peer_cert,
		.key_file = s->peer_key,
		.grace_ms = s->move_grace_ms,
		.bytes_per_s = s->move_rate };

	if (is_clustered(s))
		worker->front.moves = moves_new(&settings);
}

static uint64_t ring_of(void *arg)
{
	return cluster_ownership(arg);
}

static void wake_metadata(void *arg)
{
	const struct worker *worker = arg;

	metadata_chore_wake(worker->front.chores, worker->front.metadata);
}

static struct state *trust_keys(void *arg)
{
	const struct worker *worker = arg;
	struct snapshot *snapshot;
	struct state *state;

	if (worker->front.own_trust)
		return own_trust_state(worker->front.own_trust);
	snapshot = cluster_snapshot(worker->front.cluster);
	state = state_ref(snapshot->state);
	snapshot_free(snapshot);
	return state;
}

static void open_metadata(struct worker *worker)
{
	const struct metadata_settings settings = { .registry = worker->front.registry,
		.data = worker->settings->data,
		.ring = ring_of,
		.owns = owns,
		.arg = worker->front.cluster,
		.trust_by = settings_trust(worker->settings),
		.trust_keys = trust_keys,
		.trust_arg = worker };

	if (!worker->settings->search)
		return;
	worker->front.metadata = metadata_new(&settings);
	metadata_on_change(worker->front.metadata, wake_metadata, worker);
	worker->front.search = search_new(worker->front.metadata);
}

/* What requests need of the settings. */
static void tell_front(struct worker *worker)
{
	const struct worker_settings *s = worker->settings;
	struct front *front = &worker->front;

	front->peer_ca = s->peer_ca;
	front->peer_cert = s->peer_cert;
	front->peer_key = s->peer_key;
	front->channels_off = !s->peer_channel;
	front->extensions = (struct extensions){ .search = s->search,
		.userprefs = front->prefs,
		.cosign = settings_trust(s) & SIGNERS_BY_COSIGN,
		.notation = settings_trust(s) & SIGNERS_BY_NOTATION,
		.passwords = s->htpasswd || s->mode == MODE_WORKER,
		.apikeys = s->apikey || s->mode == MODE_WORKER };
	front->metrics_path = s->metrics ? s->metrics_path : NULL;
	front->data = s->data;
	front->wait_ms = settings_has_bucket(s) ? BUCKET_WAIT_MS : 0;
	front->stale_after_ms = s->stale_after_ms;
	front->ready_when_stale = s->ready_when_stale;
	if (!is_clustered(s))
		return;
	front_others_init(front);
	front->ask_gate = ask_gate_new();
}

/* Two processes would write one journal, and one state. */
static bool lock_data(struct worker_process *process, struct error *err)
{
	const struct worker_settings *s = process->worker.settings;
	struct error why;

	if (s->mode != MODE_WORKER ||
		file_lock_folder(s->data, "worker.lock", DATA_WAIT_MS, &process->data_lock, &why))
		return true;
	if (why.kind != ERROR_UNAVAILABLE) {
		if (err)
			*err = why;
		return error_add(err, "ZOT_WORKER_DATA: each worker needs a folder of its own");
	}
	log_warn("data.lock", "error=%s nothing keeps a second worker from this folder",
		log_quote(str_of(why.text)));
	return true;
}

static bool open_parts(struct worker_process *process, struct error *err)
{
	struct worker *worker = &process->worker;
	const struct worker_settings *s = worker->settings;
	struct member_settings member = settings_cluster(s);

	if (!pool_new(&worker->pool, (unsigned)s->pool_threads, POOL_QUEUE_MAX, err) ||
		!file_make_folders(s->data, 0700, err) || !lock_data(process, err) ||
		!cluster_new(&worker->front.cluster, &member, process->port, err) ||
		!worker_open_store(s, &worker->store, err) || !probe_store(worker, err) ||
		!open_spool(worker, err) || !open_cache(worker, err))
		return false;
	if (!open_access(worker, err))
		return false;
	open_registry(worker);
	if (!open_events(worker, err))
		return false;
	if (s->max_repos && member.isolated)
		log_warn("settings.max_repos",
			"limit=%" PRId64 " why=\"each worker of this cluster has a storage of its own, and "
			"each may have so many\"",
			s->max_repos);
	worker->retention = retention_rules_new(worker->front.cluster, worker->front.registry, s);
	open_moves(worker);
	open_metadata(worker);
	tell_front(worker);
	return true;
}

/* Loops. */

/* What members of one cluster know alone: a client may come back to another of them. */
static bool ticket_secret(void *arg, uint8_t into[HTTP_TICKET_SECRET])
{
	const struct worker *worker = arg;
	AUTO(snapshot) *snapshot = cluster_snapshot(worker->front.cluster);
	const struct peer_keys *given = &snapshot->peers;
	struct str key =
		given->has ? str_from(given->key, sizeof(given->key)) : cluster_key(worker->front.cluster);

	if (!key.len)
		return false;
	peer_key_derive(key, "tickets of TLS", into);
	return true;
}

static bool read_tls(struct worker_process *process, struct error *err)
{
	const struct tls_paths paths = settings_http_tls(process->worker.settings);

	if (!tls_files_read(&process->tls_files, &paths, err))
		return error_add(err, "http.tls");
	process->tls = tls_files_view(&process->tls_files);
	process->tickets = http_tickets_new(ticket_secret, &process->worker);
	return true;
}

/* zot's 0 is "never". */
static unsigned timeout_of(int64_t ms)
{
	return (unsigned)(ms > 0 ? ms : DAY_MS);
}

static void open_channels(struct front_loop *own)
{
	const struct front *front = own->front;
	struct peer_channel_settings settings = { .cluster = front->cluster,
		.client = own->client,
		.loop = own->loop,
		.ca_file = front->peer_ca,
		.cert_file = front->peer_cert,
		.key_file = front->peer_key,
		.counts = &own->channel_counts,
		.spread = front->channel_spread };

	own->channels = peer_channels_new(&settings);
}

static bool open_loop(struct worker_process *process, unsigned at, int listen_fd, struct error *err)
{
	struct worker *worker = &process->worker;
	struct front_loop *own = &worker->front.loops[at];
	struct http_client_settings client = { 0 };
	struct http_server_settings server = { .listen_fd = listen_fd,
		.certificate_refused = front_refused_certificate,
		.tls = worker->settings->tls_cert ? &process->tls : NULL,
		.tickets = process->tickets,
		.connection_limit = process->connections / worker->front.loops_len + 1 };
	char name[16];

	server.idle_timeout_ms = timeout_of(worker->settings->read_timeout_ms);
	server.send_timeout_ms = timeout_of(worker->settings->write_timeout_ms);
	server.head_timeout_ms = server.idle_timeout_ms < HEAD_MAX_MS ? server.idle_timeout_ms : HEAD_MAX_MS;
	own->front = &worker->front;
	traffic_init(&own->traffic);
	(void)snprintf(name, sizeof(name), "loop-%u", at);
	if (!loop_new(&own->loop, name, err))
		return false;
	loop_set_index(own->loop, at);
	usage_set_loop(worker->front.usage, at, own->loop);
	if (calls_others(worker->settings) && !http_client_new(&own->client, own->loop, &client, err))
		return false;
	if (is_clustered(worker->settings) && !worker->front.channels_off)
		open_channels(own);
	return http_server_new(&own->server, own->loop, &server, front_app(own), err);
}

/* Our loops share a port, and would share it with another worker of this user: each would get a part of the clients. */
static bool has_port_alone(const struct worker_settings *s, struct error *err)
{
	int fd;

	if (!s->port)
		return true;
	if (!http_listen(s->address, (uint16_t)s->port, false, &fd, NULL, err))
		return error_add(err, "PORT, which must be this worker's alone");
	(void)close(fd);
	return true;
}

static bool listen_all(struct worker_process *process, int *fds, struct error *err)
{
	const struct worker_settings *s = process->worker.settings;

	if (!has_port_alone(s, err))
		return false;
	process->port = (uint16_t)s->port;
	for (unsigned i = 0; i < process->worker.front.loops_len; i++)
		if (!http_listen(s->address, process->port, true, &fds[i], &process->port, err))
			return false;
	return true;
}

static void *loop_thread(void *arg)
{
	struct front_loop *own = arg;

	loop_run(own->loop);
	return NULL;
}

static void start_threads(struct worker_process *process)
{
	for (unsigned i = 0; i < process->worker.front.loops_len; i++) {
		CHECK(!pthread_create(
			&process->threads[i], NULL, loop_thread, &process->worker.front.loops[i]));
		process->threads_len++;
	}
}

/* The first loop speaks for all: who watches us hears nothing as soon as one of them does not turn. */
static void tell_supervisor(const struct front_loop *own)
{
	int64_t watchdog_ms = supervisor_watchdog_ms();

	if (watchdog_ms && loop_index(own->loop) == 0 && front_loops_turn(own->front, watchdog_ms / 2))
		supervisor_tell("WATCHDOG=1");
}

/* For /livez: whoever has to sees when we stop turning. */
static void on_beat(void *arg)
{
	struct front_loop *own = arg;

	__atomic_store_n(&own->beat_ms, clock_ms(), __ATOMIC_RELAXED);
	tell_supervisor(own);
	front_refused_tell(own->front);
	loop_timer_start(own->loop, &own->beat, BEAT_EVERY_MS, on_beat, own);
}

static void start_cluster(struct worker *worker)
{
	struct front_loop *first = &worker->front.loops[0];
	struct cluster_run run = { .loop = first->loop,
		.client = first->client,
		.pool = worker->pool,
		.usage = worker->front.usage,
		.stats = worker_stats,
		.chores = worker_chores,
		.order = worker_order,
		.arg = worker,
		.refused = &first->counters.usage_refused_total };

	cluster_start(worker->front.cluster, &run);
}

static bool open_process(struct worker_process *process, struct error *err)
{
	struct worker *worker = &process->worker;
	int fds[LOOPS_MAX];

	if (!read_tls(process, err) || !listen_all(process, fds, err) || !open_parts(process, err))
		return false;
	for (unsigned i = 0; i < worker->front.loops_len; i++)
		if (!open_loop(process, i, fds[i], err))
			return false;
	for (unsigned i = 0; i < worker->front.loops_len; i++)
		on_beat(&worker->front.loops[i]);
	process->housework = housework_start(worker, process->started_s);
	start_cluster(worker);
	if (worker->front.events)
		events_start(worker->front.events);
	return true;
}

/* The end. */

static void do_stop(void *arg)
{
	struct front_loop *own = arg;

	if (loop_index(own->loop) == 0)
		cluster_stop(own->front->cluster);
	loop_timer_stop(own->loop, &own->beat);
	loop_stop(own->loop);
}

/* One that ends us, or 0; SIGHUP is obeyed by the way. */
static int signal_came(const struct worker_process *process, int within_ms)
{
	struct signalfd_siginfo info;

	if (!file_wait_readable(process->signals, within_ms) ||
		read(process->signals, &info, sizeof(info)) != sizeof(info))
		return 0;
	if (info.ssi_signo != SIGHUP)
		return (int)info.ssi_signo;
	reload_all(process->reload);
	return 0;
}

static bool hurry(void *arg, int within_ms)
{
	return signal_came(arg, within_ms) != 0;
}

static int await_end(struct worker_process *process)
{
	int number;

	while (!(number = signal_came(process, RELOAD_EVERY_MS)))
		reload_changed(process->reload);
	return number;
}

static void stop_loops(struct worker_process *process)
{
	struct worker *worker = &process->worker;

	for (unsigned i = 0; i < process->threads_len; i++)
		loop_post(worker->front.loops[i].loop, do_stop, &worker->front.loops[i]);
	for (unsigned i = 0; i < process->threads_len; i++)
		(void)pthread_join(process->threads[i], NULL);
}

/* What was posted at last runs here, on nobody's thread, before anything goes that it names. True: there was something. */
static bool drain_loops(const struct worker *worker)
{
	bool any = true, had = false;

	while (any) {
		any = false;
		for (unsigned i = 0; i < worker->front.loops_len; i++)
			if (worker->front.loops[i].loop)
				any |= loop_drain(worker->front.loops[i].loop);
		had |= any;
	}
	return had;
}

/* Jobs of requests that were answered long ago may still wait for a store, and what they post may ask for another job: a push that was
 * given up is removed from the bucket. */
static void settle_pool(const struct worker *worker)
{
	if (!worker->pool)
		return;
	do
		pool_settle(worker->pool);
	while (drain_loops(worker));
}

static void close_process(struct worker_process *process)
{
	struct worker *worker = &process->worker;

	chores_stop(worker->front.chores);
	blob_cache_stop(worker->cache);
	moves_stop(worker->front.moves);
	stop_loops(process);
	events_stop(worker->front.events);
	for (unsigned i = 0; i < worker->front.loops_len; i++)
		http_server_free(worker->front.loops[i].server);
	drain_loops(worker);
	blob_fills_free(worker->front.fills);
	chores_await_end(worker->front.chores);
	settle_pool(worker);
	registry_stop(worker->front.registry);
	pool_free(worker->pool);
	(void)drain_loops(worker);
	events_free(worker->front.events);
	search_free(worker->front.search);
	metadata_free(worker->front.metadata);
	blob_cache_free(worker->cache);
	chores_free(worker->front.chores);
	housework_end(process->housework);
	retention_rules_free(worker->retention);
	audit_free(worker->front.audit);
	ask_gate_free(worker->front.ask_gate);
	front_others_fini(&worker->front);
	few_each_free(worker->front.refusals);
	few_each_free(worker->front.challenges);
	moves_free(worker->front.moves);
	registry_free(worker->front.registry);
	housework_free(process->housework);
	cluster_free(worker->front.cluster);
	usage_free(worker->front.usage);
	for (unsigned i = 0; i < worker->front.loops_len; i++) {
		http_client_free(worker->front.loops[i].client);
		peer_channels_free(worker->front.loops[i].channels);
		loop_free(worker->front.loops[i].loop);
	}
	channel_spread_free(worker->front.channel_spread);
	auth_free(worker->front.auth);
	own_keys_free(worker->front.own_keys);
	prefs_free(worker->front.prefs);
	own_prefs_free(worker->front.own_prefs);
	own_trust_free(worker->front.own_trust);
	peer_guard_free(worker->front.state_guard);
	rate_limit_free(worker->front.rate_limit);
	proxies_free(worker->front.proxies);
	spool_free(worker->spool);
	store_free(worker->store);
	free(worker->front.loops);
	tls_files_fini(&process->tls_files);
	http_tickets_free(process->tickets);
	reload_free(process->reload);
	if (process->signals >= 0)
		(void)close(process->signals);
	if (process->data_lock >= 0)
		(void)close(process->data_lock);
	free(process);
}

static int block_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static unsigned count_loops(const struct worker_settings *settings)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	if (settings->loops > 0)
		return (unsigned)settings->loops;
	return cores > 0 && cores <= LOOPS_MAX ? (unsigned)cores : 1;
}

static bool is_loopback(const char *address)
{
	return str_starts(str_of(address), "127.") || !strcmp(address, "::1") ||
	       !strcmp(address, "localhost");
}

/* Whoever starts it so should know. */
static void warn_if_open(const struct worker_settings *s)
{
	if (s->mode == MODE_WORKER || s->htpasswd || s->tls_ca || s->access_control ||
		is_loopback(s->address))
		return;
	log_warn("worker.open",
		"address=%s ANYBODY who reaches this port may pull, push and delete: there is no login. Set "
		"http.auth.htpasswd "
		"(ZOT_HTPASSWD) or http.accessControl, or listen on 127.0.0.1 (ZOT_WORKER_ADDRESS)",
		log_quote(str_of(s->address)));
}

int worker_run(const struct worker_settings *settings)
{
	struct worker_process *process = xnew(struct worker_process);
	struct worker *worker = &process->worker;
	struct error err;
	int status = 1;

	process->signals = block_signals();
	process->data_lock = -1;
	if (calls_others(settings))
		http_client_init();
	worker->settings = settings;
	worker->front.started_ms = clock_ms();
	process->started_s = clock_wall_s();
	worker->front.loops_len = count_loops(settings);
	worker->front.channel_spread = channel_spread_new();
	worker->front.loops = xnew_array(struct front_loop, worker->front.loops_len);
	process->reload = reload_new(worker);
	process->connections = http_connections_fit((unsigned)settings->connections);
	if (!open_process(process, &err)) {
		log_error("worker.start", "error=%s", log_quote(str_of(err.text)));
	} else {
		start_threads(process);
		warn_if_open(settings);
		log_info("worker.ready", "port=%u name=%s store=%s loops=%u ms=%" PRId64, process->port,
			log_quote(str_of(cluster_self(worker->front.cluster))),
			log_quote(str_of(store_place(worker->store))), worker->front.loops_len,
			clock_ms() - worker->front.started_ms);
		supervisor_tell("READY=1");
		leave_orderly(&(struct leave){
			.worker = worker, .signal = await_end(process), .hurry = hurry, .arg = process });
		log_info("worker.stopped", "ms=%" PRId64, clock_ms() - worker->front.started_ms);
		status = 0;
	}
	close_process(process);
	if (calls_others(settings))
		http_client_fini();
	return status;
}
