/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/front/health_metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/http_server.h"
#include "common/loop.h"
#include "common/metrics.h"
#include "common/pool.h"
#include "common/version.h"
#include "worker/auth/auth.h"
#include "worker/auth/snapshot.h"
#include "worker/chores/chores.h"
#include "worker/cluster/cluster.h"
#include "worker/cluster/usage.h"
#include "worker/cluster/complaints.h"
#include "worker/events/events.h"
#include "worker/front/front.h"
#include "worker/front/health_checks.h"
#include "worker/front/traffic_metrics.h"
#include "worker/index/index.h"
#include "worker/registry/pull_counts.h"
#include "worker/registry/registry.h"
#include "worker/registry/repository_room.h"
#include "worker/chores/collect_chore.h"
#include "worker/chores/scrub_chore.h"
#include "worker/chores/weigh_chore.h"
#include "worker/metadata/metadata.h"
#include "worker/moves/moves.h"
#include "worker/oci/blob_fills.h"
#include "worker/storage/blob_cache.h"
#include "worker/storage/spool.h"
#include "worker/storage/store.h"

static uint64_t sum_of(const struct front *front, size_t offset)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < front->loops_len; i++)
		sum += counter_get((const counter *)((const char *)&front->loops[i] + offset));
	return sum;
}
#define FRONT_SUM(front, name) sum_of(front, offsetof(struct front_loop, counters.name))

static void put_counters(const struct front *front, struct buf *into)
{
#define COUNTER(name, type, labels, help)                                                                    \
	metrics_put(into, "zot_" #name, type, help, labels, FRONT_SUM(front, name));
#include "worker/front/front_counters.def"
#undef COUNTER
#define COUNTER(name, type, labels, help)                                                                    \
	metrics_put(into, "zot_" #name, type, help, labels,                                                  \
		sum_of(front, offsetof(struct front_loop, oci_counters.name)));
#include "worker/oci/oci_counters.def"
#undef COUNTER
}

#define CHANNEL_SUM(front, name) sum_of(front, offsetof(struct front_loop, channel_counts.name))

static void gauge(struct buf *into, const char *name, const char *help, uint64_t value)
{
	metrics_put(into, name, "gauge", help, "", value);
}

static void seconds(struct buf *into, const char *name, const char *help, int64_t ms)
{
	metrics_put_seconds(into, name, "gauge", help, "", (uint64_t)ms * 1000);
}

static void total(struct buf *into, const char *name, const char *help, uint64_t value)
{
	metrics_put(into, name, "counter", help, "", value);
}

static void put_channels(const struct front *front, struct buf *into)
{
	gauge(into, "zot_peer_channels",
		"Channels to other workers that are open: connections that carry many calls.",
		CHANNEL_SUM(front, open));
	total(into, "zot_peer_channels_opened_total", "Channels to other workers that were opened.",
		CHANNEL_SUM(front, opened));
	total(into, "zot_peer_channels_lost_total", "Channels to other workers that ended.",
		CHANNEL_SUM(front, lost));
	total(into, "zot_peer_channels_refused_total",
		"Times that another worker was not reached, or did not open a channel.",
		CHANNEL_SUM(front, refused));
	total(into, "zot_peer_channel_calls_total",
		"Requests that were sent on over a channel; the others of zot_proxied_total have connections "
		"of their own.",
		CHANNEL_SUM(front, calls));
}

static void put_latency(const struct front *front, struct buf *into)
{
	struct histogram all = { 0 };

	for (unsigned i = 0; i < front->loops_len; i++)
		traffic_latency(&front->loops[i].traffic, &all);
	metrics_put_histogram(into, "zot_http_request_latency_seconds",
		"Time from a request's head to the last byte of its reply.", "", &all);
}

static void put_process(const struct front *front, struct buf *into)
{
	/* In this order, so that the difference is never negative. */
	uint64_t ended = FRONT_SUM(front, http_ended_total), begun = FRONT_SUM(front, http_begun_total);

	gauge(into, "zot_open_requests", "Requests under way.", begun - ended);
	gauge(into, "zot_uptime_seconds", "Time since the start.",
		(uint64_t)(clock_ms() - front->started_ms) / 1000);
	metrics_put_process(into, front->started_ms);
}

/* zot's scheduler runs what waits for disks; here that is the pool, with the chores as its generators. */
static void put_scheduler(const struct pool *pool, const struct pool_stats *stats, struct buf *into)
{
	size_t threads = stats->threads + stats->background.threads,
	       running = stats->running + stats->background.running;

	gauge(into, "zot_scheduler_workers_total",
		"Threads of the pool, at most, with those of the background.",
		pool_size(pool) + pool_background(pool));
	metrics_put(into, "zot_scheduler_workers", "gauge", "Threads of the pool, by state.",
		"state=\"idle\"", threads - running);
	metrics_put(into, "zot_scheduler_workers", "gauge", NULL, "state=\"working\"", running);
	metrics_put(into, "zot_scheduler_tasksqueue_length", "gauge",
		"Jobs that wait for a thread; low: those of the background.", "priority=\"high\"",
		stats->queued);
	metrics_put(into, "zot_scheduler_tasksqueue_length", "gauge", NULL, "priority=\"low\"",
		stats->background.queued);
}

static void put_pool(struct pool *pool, struct buf *into)
{
	struct pool_stats stats = pool_stats(pool);
	struct histogram waits;

	pool_waits(pool, &waits);
	gauge(into, "zot_pool_queued", "Jobs that wait for a thread.", stats.queued);
	gauge(into, "zot_pool_running", "Jobs that run.", stats.running);
	metrics_put_histogram(
		into, "zot_pool_wait_seconds", "Time that jobs waited for a thread.", "", &waits);
	put_scheduler(pool, &stats, into);
}

static void put_identity(struct buf *into)
{
	char labels[160];

	(void)snprintf(labels, sizeof(labels),
		"commit=\"%s\",binaryType=\"zot-worker\",goVersion=\"\",version=\"" ZOT_VERSION "\"",
		version_commit());
	gauge(into, "zot_up", "1: this worker answers.", 1);
	metrics_put(into, "zot_info", "gauge", "Always 1; the labels say what runs.", labels, 1);
}

static void put_locks(struct front *front, struct buf *into)
{
	const char *help = "Time that changes of an index waited for the lock of its repository's folder.";
	const char *path;
	char labels[300];

	for (size_t i = 0; i < store_roots_len(front->registry->store); i++) {
		const struct histogram *waits =
			store_lock_waits(store_root_at(front->registry->store, i, &path));
		struct histogram all = { 0 };

		if (!waits)
			continue;
		histogram_merge(&all, waits);
		(void)snprintf(labels, sizeof(labels), "storageName=\"%s\",lockType=\"RWLock\"",
			*path ? path : "default");
		metrics_put_histogram(into, "zot_storage_lock_latency_seconds", help, labels, &all);
		help = NULL;
	}
}

/* Of all loops; they have one certificate. */
static struct http_server_stats sum_connections(const struct front *front)
{
	struct http_server_stats sum = { 0 };

	for (unsigned i = 0; i < front->loops_len; i++) {
		struct http_server_stats one = http_server_stats(front->loops[i].server);

		sum.connections += one.connections;
		sum.waiting += one.waiting;
		sum.accepted += one.accepted;
		sum.shed += one.shed;
		sum.certificate_end_s = one.certificate_end_s;
	}
	return sum;
}

static void put_spins(const struct front *front, struct buf *into)
{
	uint64_t spins = 0;

	for (unsigned i = 0; i < front->loops_len; i++)
		spins += loop_spins(front->loops[i].loop);
	total(into, "zot_loop_spins_total",
		"Seconds in which a loop turned a thousand times and moved nothing: a fault, please report "
		"it.",
		spins);
}

static void put_connections(const struct front *front, struct buf *into)
{
	struct http_server_stats sum = sum_connections(front);

	gauge(into, "zot_connections_open", "Connections of clients and peers.", sum.connections);
	gauge(into, "zot_connections_idle", "Connections without a request under way.", sum.waiting);
	total(into, "zot_connections_accepted_total", "Connections that were accepted.", sum.accepted);
	total(into, "zot_connections_shed_total",
		"Connections without a request that were closed to make room: ZOT_CONNECTIONS is too low.",
		sum.shed);
	if (sum.certificate_end_s)
		gauge(into, "zot_certificate_end_timestamp_seconds",
			"When the certificate of the port ends, by the wall clock.",
			(uint64_t)sum.certificate_end_s);
}

static void put_uploads(struct uploads_stats uploads, struct buf *into)
{
	gauge(into, "zot_uploads_open", "Upload sessions.", uploads.open);
	gauge(into, "zot_uploads_empty", "Upload sessions without a byte yet.", uploads.empty);
	gauge(into, "zot_uploads_clients", "API keys, users and addresses that have sessions.",
		uploads.owners);
	total(into, "zot_uploads_refused_total",
		"Sessions and bytes that were refused because there were too many, of all or of one client.",
		uploads.refused);
	total(into, "zot_uploads_evicted_total", "Idle sessions that were ended to make room for others.",
		uploads.evicted);
}

static void put_bucket(const struct store *store, struct buf *into)
{
	total(into, "zot_s3_requests_total", "Requests sent to the object store.", store_requests(store));
	total(into, "zot_s3_errors_total",
		"Requests to the object store without an answer or with one that says later (429, 5xx): they "
		"are tried again. Blobs on their way to clients are not counted here.",
		store_errors(store));
}

static void put_cache(struct front *front, struct buf *into)
{
	struct blob_cache_stats cache = { 0 };
	struct blob_fills_stats fills = { 0 };

	if (front->fills) {
		cache = blob_cache_stats(front->registry->cache);
		fills = blob_fills_stats(front->fills);
	}
	gauge(into, "zot_cache_on", "1: there is a cache before the bucket, and its disk works.", cache.on);
	gauge(into, "zot_cache_bytes", "Bytes of blobs in the cache, and of those on their way into it.",
		cache.bytes);
	gauge(into, "zot_cache_limit_bytes", "Bytes that it may have: storage.cache.size.", cache.most);
	gauge(into, "zot_cache_entries", "Blobs in the cache.", cache.entries);
	total(into, "zot_cache_evictions_total", "Blobs that made room for others.", cache.evictions);
	total(into, "zot_cache_adopted_total", "Blobs that came into it from a push, without being copied.",
		cache.adopted);
	total(into, "zot_cache_rechecked_total",
		"Blobs of before a start of the machine that were read through when they were asked for.",
		cache.doubted);
	gauge(into, "zot_cache_fills", "Blobs on their way from the bucket into the cache.", fills.running);
	total(into, "zot_cache_fills_failed_total",
		"Of these, cut by the bucket and not to be had to the end.", fills.failed);
	total(into, "zot_cache_fills_wrong_total",
		"Of these, with another digest than they have in the bucket's key: no client got one whole.",
		fills.wrong);
}

static void put_weighed(struct weighed weighed, struct buf *into)
{
	if (!weighed.known)
		return;
	gauge(into, "zot_storage_bytes",
		"Bytes in the storage of the repositories that this worker owns; those of all workers add up "
		"to all of it.",
		weighed.bytes);
	gauge(into, "zot_storage_repositories", "Repositories that this worker owns.", weighed.repositories);
	gauge(into, "zot_storage_blobs", "Blobs in these, manifests too; one in each repository that has it.",
		weighed.blobs);
	gauge(into, "zot_storage_manifests", "Manifests that their indexes list.", weighed.manifests);
	gauge(into, "zot_storage_tags", "Tags of these repositories.", weighed.tags);
	gauge(into, "zot_storage_unread_repositories",
		"Of these, with an index that could not be read: their manifests and tags are not counted.",
		weighed.unread);
}

/* Of isolated storage. */
static void put_moves(struct moves *moves, struct buf *into)
{
	struct moves_stats told = { 0 };

	if (moves)
		told = moves_stats(moves);
	gauge(into, "zot_moves_held",
		"Isolated storage: repositories here that another worker owns and does not have whole yet, "
		"and blobs whose upload ended here after their repository had gone.",
		told.held);
	gauge(into, "zot_moves_coming",
		"Isolated storage: repositories that came here from another worker and are not whole yet.",
		told.coming);
	total(into, "zot_moves_taken_total", "Repositories that were taken over from another worker.",
		told.taken);
	total(into, "zot_moves_given_total", "Repositories that were given to another worker.", told.given);
	total(into, "zot_moves_removed_total",
		"Copies of repositories that were given away and removed when their new owner had all.",
		told.removed);
	total(into, "zot_moves_blobs_total", "Blobs that were fetched from another worker.",
		told.fetched_blobs);
	total(into, "zot_moves_bytes_total", "Bytes of these.", told.fetched_bytes);
}

/* Under the names that zot has, where it has one. */
static void put_collected(struct collect_counts told, struct buf *into)
{
	metrics_put(into, "zot_gc_runs_total", "counter",
		"Repositories that were looked through for what nobody needs.", "error=\"false\"",
		told.walked - told.failed);
	metrics_put(into, "zot_gc_runs_total", "counter", NULL, "error=\"true\"", told.failed);
	metrics_put_seconds(into, "zot_gc_walk_seconds_total", "counter",
		"Time that walks through all repositories took.", "", told.ms * 1000);
	total(into, "zot_gc_walks_total", "Walks through all repositories.", told.walks);
	metrics_put(into, "zot_gc_deleted_total", "counter", "What was removed since no manifest names it.",
		"type=\"blob\"", told.removed);
	total(into, "zot_gc_deleted_bytes_total", "Bytes of these.", told.bytes);
	total(into, "zot_gc_vacated_total",
		"Repositories that left the catalog since nothing was left in them.", told.vacated);
}

static void put_scrubbed(struct scrub_totals told, struct buf *into)
{
	const struct scrub_counts *counts = &told.counts;
	char label[32];

	total(into, "zot_scrub_passes_total",
		"Passes through all that is stored, looking for rot, that have ended.", told.passes);
	gauge(into, "zot_scrub_running", "1 while a pass is under way.", told.running);
	gauge(into, "zot_scrub_last_end_seconds",
		"When the last pass ended (wall clock); 0: none did since the start.",
		(uint64_t)told.ended_s);
	total(into, "zot_scrub_repositories_total", "Repositories that were looked at for rot.",
		counts->repositories);
	total(into, "zot_scrub_blobs_total", "Blobs of these.", counts->blobs);
	total(into, "zot_scrub_bytes_total", "Bytes of these that were read.", counts->bytes);
	total(into, "zot_scrub_vouched_total",
		"Blobs that were not read, since the bucket has a sha256 of them that is their digest's.",
		counts->vouched);
	for (unsigned kind = 0; kind < SCRUB_KINDS; kind++) {
		(void)snprintf(label, sizeof(label), "kind=\"%s\"", scrub_kind_name((enum scrub_kind)kind));
		metrics_put(into, "zot_scrub_findings_total", "counter",
			kind ? NULL : "What was found to be wrong.", label, counts->found[kind]);
	}
	total(into, "zot_scrub_set_aside_total",
		"Blobs that were set aside: they are absent until they are pushed.", counts->set_aside);
	total(into, "zot_scrub_healed_total", "Blobs in whose place a good copy was put.", counts->healed);
	total(into, "zot_scrub_failed_total", "What could not be looked at.", counts->failed);
}

static void put_pulls(struct pull_counts *pulls, struct buf *into)
{
	struct pull_counts_stats stats;

	if (!pulls)
		return;
	stats = pull_counts_stats(pulls);
	gauge(into, "zot_pulls_waiting_rows",
		"Manifests and tags whose last pulls are counted in memory and not written yet.", stats.rows);
	total(into, "zot_pulls_written_total", "Pulls that were written into indexes.", stats.written);
	total(into, "zot_pulls_lost_total",
		"Pulls that were not counted: too many lay in memory, or it cannot be known whether they "
		"were written.",
		stats.lost);
}

static void put_metadata(struct metadata *metadata, struct buf *into)
{
	struct metadata_stats stats = metadata_stats(metadata);

	if (!metadata)
		return;
	gauge(into, "zot_metadata_repositories", "Repositories that a search is answered from.",
		stats.repositories);
	gauge(into, "zot_metadata_images", "Tags of these that are images.", stats.images);
	gauge(into, "zot_metadata_behind", "Repositories that changed and are not derived yet.",
		stats.behind);
	gauge(into, "zot_metadata_catching_up",
		"1 while all repositories are looked at: after a start, a change of the ring, a lost file.",
		stats.catching_up);
	gauge(into, "zot_metadata_file_bytes", "Size of the file, which may be deleted.", stats.file_bytes);
	total(into, "zot_metadata_derived_total", "Repositories that were derived, each time.",
		stats.derived);
	total(into, "zot_metadata_manifests_total", "Manifests that were read for it.", stats.manifests);
	total(into, "zot_metadata_skipped_total",
		"Manifests and configs of which nothing can be told: broken, too large, or not there.",
		stats.skipped);
	total(into, "zot_metadata_failures_total",
		"Repositories that could not be derived, each time; they are tried again.", stats.failures);
	total(into, "zot_metadata_rebuilt_total",
		"How often the file was gone or unusable, and was made anew.", stats.rebuilt);
	metrics_put_seconds(into, "zot_metadata_seconds_total", "counter", "Time that was spent deriving.",
		"", stats.worked_us);
}

static void put_storage(struct front *front, struct buf *into)
{
	struct indexes_stats indexes = indexes_stats(front->registry->indexes);

	gauge(into, "zot_index_repositories", "Repositories whose index is in memory.", indexes.repositories);
	gauge(into, "zot_index_bytes", "Memory that these indexes take.", indexes.bytes);
	total(into, "zot_index_loads_total", "Indexes that were read from the store.", indexes.loads);
	total(into, "zot_index_revalidations_total",
		"Questions to the store whether an index is still current.", indexes.revalidations);
	total(into, "zot_index_changes_total", "Changes of indexes that were asked for.", indexes.changes);
	total(into, "zot_index_writes_total", "Writes of indexes; one holds all changes that waited.",
		indexes.writes);
	total(into, "zot_index_conflicts_total", "Writes of indexes that another worker had overtaken.",
		indexes.conflicts);
	put_pulls(front->registry->pulls, into);
	gauge(into, "zot_spool_bytes", "Bytes of uploads under way.", spool_used(front->registry->spool));
	put_weighed(weigh_told(front->weigh), into);
	gauge(into, "zot_storage_repositories_limit",
		"Repositories that the storage may have: storage.maxRepos; 0: as many as may come.",
		repository_room_limit(front->registry->room));
	gauge(into, "zot_storage_dedupe_saved_bytes",
		"Bytes that the folder does not take because repositories share blobs: as the last walk "
		"found it, and "
		"what was linked and removed by this worker since.",
		store_saved(front->registry->store));
	put_collected(collect_told(front->collect), into);
	put_scrubbed(scrub_told(front->scrub), into);
	put_metadata(front->metadata, into);
	put_moves(front->moves, into);
	put_uploads(uploads_stats(front->registry->uploads), into);
	put_bucket(front->registry->store, into);
	put_cache(front, into);
}

static void put_clock(int64_t ahead_ms, struct buf *into)
{
	buf_format(into,
		"# HELP zot_cluster_clock_offset_seconds How far this worker's clock is ahead of the "
		"leader's.\n"
		"# TYPE zot_cluster_clock_offset_seconds gauge\nzot_cluster_clock_offset_seconds %s%" PRId64
		".%03" PRId64 "\n",
		ahead_ms < 0 ? "-" : "", (int64_t)(llabs(ahead_ms) / 1000),
		(int64_t)(llabs(ahead_ms) % 1000));
}

static void put_cluster(struct front *front, struct buf *into)
{
	AUTO(snapshot) *snapshot = cluster_snapshot(front->cluster);
	int64_t age = cluster_state_age_ms(front->cluster), lease = cluster_lease_left_ms(front->cluster);

	gauge(into, "zot_ring_epoch", "Epoch of the ring that owners are computed from.",
		ring_epoch(snapshot->ring));
	gauge(into, "zot_ring_members", "Members of the ring.", ring_len(snapshot->ring));
	gauge(into, "zot_state_revision", "Revision of the leaders' state that is in force.",
		state_revision(snapshot->state));
	if (age >= 0)
		seconds(into, "zot_state_age_seconds",
			"Time since the state was known to be the leaders' newest.", age);
	if (age >= 0)
		gauge(into, "zot_state_of_backup",
			"1 while the state is that of the leaders' backup and no leader has answered yet.",
			cluster_state_of_backup(front->cluster));
	if (age >= 0)
		put_clock(cluster_clock_ahead_ms(front->cluster), into);
	seconds(into, "zot_usage_unacknowledged_seconds",
		"How long counts of usage have waited without a leader's acknowledging any; 0: none wait.",
		usage_waits_ms(front->usage));
	if (lease != INT64_MAX)
		seconds(into, "zot_lease_left_seconds", "Time for which tags may be served from memory.",
			lease > 0 ? lease : 0);
}

static void put_complaints(struct front *front, struct buf *into)
{
	struct complaints *complaints = cluster_complaints(front->cluster);
	const char *help = "1 while something is wrong with this worker in its cluster; /readyz says what.";
	char label[32];

	for (enum complaint kind = 0; kind < COMPLAINTS; kind++) {
		(void)snprintf(label, sizeof(label), "kind=\"%s\"", complaint_name(kind));
		metrics_put(into, "zot_cluster_complaint", "gauge", kind ? NULL : help, label,
			complaint_lasts(complaints, kind));
	}
}

void health_metrics(struct front *front, struct buf *into)
{
	put_identity(into);
	put_counters(front, into);
	traffic_metrics(front, into);
	put_channels(front, into);
	put_latency(front, into);
	put_process(front, into);
	put_spins(front, into);
	put_connections(front, into);
	put_pool(front->registry->pool, into);
	chores_metrics(front->chores, into);
	auth_metrics(front->auth, into);
	health_checks_metrics(front, into);
	put_storage(front, into);
	put_locks(front, into);
	put_cluster(front, into);
	put_complaints(front, into);
	events_metrics(front->events, into);
}
