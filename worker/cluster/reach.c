/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/cluster/reach.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"
#include "common/loop.h"
#include "common/map.h"
#include "worker/cluster/cluster_priv.h"
#include "worker/cluster/complaints.h"
#include "worker/cluster/peer_probe.h"
#include "worker/cluster/report.h"

/* In a static cluster others wait so long for one that tries again: as long as connecting may take. */
#define TRIAL_MS 2000

struct suspect {
	struct reach *reach;
	struct suspect *next;
	char *id;
	char *known_as; /* in the question that is under way */
	struct peer_probe probe;
	bool is_silent; /* did not answer the newest probe */
	bool is_there;  /* in the ring, and in doubt still: of this turn */
};

struct reach {
	struct cluster *cluster;
	struct suspect *suspects;
	struct loop_timer timer;
	atomic_bool turning; /* a turn is due or posted */
	bool complains, stopped;
	bool told_cut; /* by the newest beat */
};

static void look(struct reach *reach, const struct snapshot *snapshot);

/* ---- the table of failures ---- */

static int64_t *entry_locked(struct cluster *cluster, struct str id)
{
	int64_t *until = map_find(cluster->failed, id);

	if (!until) {
		until = xnew(int64_t);
		*until = 0;
		(void)map_put(cluster->failed, id, until);
	}
	return until;
}

static void fail_for(struct cluster *cluster, struct str id, int64_t ms)
{
	int64_t *until;

	pthread_mutex_lock(&cluster->lock);
	until = entry_locked(cluster, id);
	if (*until < clock_ms() + ms)
		*until = clock_ms() + ms;
	pthread_mutex_unlock(&cluster->lock);
	reach_doubt(cluster->reach);
}

void cluster_peer_failed(struct cluster *cluster, struct str id)
{
	fail_for(cluster, id, REACH_FAILED_MS);
}

void cluster_peer_doubted(struct cluster *cluster, struct str id)
{
	if (cluster->reach)
		fail_for(cluster, id, 0);
}

/* trial_ms: for so long others leave it alone, where this one may call it again. */
static bool is_left_alone(struct cluster *cluster, struct str id, int64_t trial_ms)
{
	int64_t now = clock_ms(), *until;
	bool alone;

	pthread_mutex_lock(&cluster->lock);
	until = map_find(cluster->failed, id);
	alone = until && *until > now;
	if (until && !alone && trial_ms)
		*until = now + trial_ms;
	pthread_mutex_unlock(&cluster->lock);
	return alone;
}

bool cluster_peer_is_failed(struct cluster *cluster, struct str id)
{
	return is_left_alone(cluster, id, 0);
}

bool cluster_peer_is_away(struct cluster *cluster, struct str id)
{
	return is_left_alone(cluster, id, cluster->reach ? 0 : TRIAL_MS);
}

void cluster_peer_answered(struct cluster *cluster, struct str id)
{
	pthread_mutex_lock(&cluster->lock);
	if (map_len(cluster->failed))
		free(map_delete(cluster->failed, id));
	pthread_mutex_unlock(&cluster->lock);
}

/* ---- suspects ---- */

static void drop_suspect(struct suspect *suspect)
{
	peer_probe_end(&suspect->probe);
	free(suspect->id);
	free(suspect->known_as);
	free(suspect);
}

static bool is_it(const struct suspect *suspect, const struct peer_answer *who)
{
	return !strcmp(who->name, suspect->known_as);
}

static void on_probed(void *arg, struct http_call *call, const struct error *err)
{
	struct suspect *suspect = arg;
	struct reach *reach = suspect->reach;
	struct cluster *cluster = reach->cluster;
	AUTO(snapshot) *snapshot = cluster_snapshot(cluster);
	struct peer_answer who;

	suspect->is_silent = err || !peer_probe_who(&suspect->probe, call, &who) || !is_it(suspect, &who);
	if (suspect->is_silent)
		fail_for(cluster, str_of(suspect->id), REACH_EVERY_MS + REACH_WAIT_MS + REACH_FAILED_MS);
	else
		cluster_peer_answered(cluster, str_of(suspect->id));
	look(reach, snapshot); /* the suspect may be gone now */
}

static struct suspect *suspect_of(struct reach *reach, struct str id)
{
	struct suspect *suspect = reach->suspects;

	while (suspect && !str_equal(str_of(suspect->id), id))
		suspect = suspect->next;
	if (!suspect) {
		suspect = xnew(struct suspect);
		*suspect = (struct suspect){
			.reach = reach, .id = check_strndup(id.at, id.len), .next = reach->suspects
		};
		suspect->probe =
			(struct peer_probe){ .cluster = reach->cluster, .done = on_probed, .arg = suspect };
		reach->suspects = suspect;
	}
	return suspect;
}

/* Who is in doubt, of the ring: a suspect. Whoever else failed is forgotten when his time is over. */
static void gather(struct reach *reach, const struct snapshot *snapshot)
{
	struct cluster *cluster = reach->cluster;
	char gone[RING_MEMBER_ID_MAX + 1];
	struct str id;
	void *until;
	bool found;

	for (struct suspect *suspect = reach->suspects; suspect; suspect = suspect->next)
		suspect->is_there = false;
	pthread_mutex_lock(&cluster->lock);
	do {
		found = false;
		for (size_t at = 0; !found && map_next(cluster->failed, &at, &id, &until);) {
			int place = ring_find(snapshot->ring, id);

			if (place != RING_NOBODY && place != snapshot->self)
				suspect_of(reach, id)->is_there = true;
			else
				found = *(int64_t *)until < clock_ms() && str_copy(id, gone, sizeof(gone));
		}
		if (found)
			free(map_delete(cluster->failed, str_of(gone)));
	} while (found);
	pthread_mutex_unlock(&cluster->lock);
}

static void sweep(struct reach *reach)
{
	struct suspect **at = &reach->suspects;

	while (*at) {
		struct suspect *suspect = *at;

		if (suspect->is_there) {
			at = &suspect->next;
		} else {
			*at = suspect->next;
			drop_suspect(suspect);
		}
	}
}

static void probe(struct suspect *suspect, const struct snapshot *snapshot)
{
	struct cluster *cluster = suspect->reach->cluster;
	const struct ring_member *member =
		ring_at(snapshot->ring, (size_t)ring_find(snapshot->ring, str_of(suspect->id)));
	AUTO_FINI(buf) known_as = buf_limit(PEER_NAME_MAX + 1);

	cluster_name_of(cluster, snapshot, member, &known_as);
	free(suspect->known_as);
	suspect->known_as = check_strdup(buf_text(&known_as));
	peer_probe_send(&suspect->probe, snapshot, member->url, suspect->known_as, REACH_WAIT_MS);
}

/* ---- what it means ---- */

static void judge(struct reach *reach, const struct snapshot *snapshot)
{
	struct complaints *complaints = reach->cluster->complaints;
	AUTO_FINI(buf) names = buf_limit(COMPLAINT_TEXT_MAX / 2);
	unsigned others = 0, silent = 0;

	for (size_t i = 0; i < ring_len(snapshot->ring); i++)
		others += (int)i != snapshot->self && ring_at(snapshot->ring, i)->active;
	for (struct suspect *suspect = reach->suspects; suspect; suspect = suspect->next) {
		const struct ring_member *member =
			ring_at(snapshot->ring, (size_t)ring_find(snapshot->ring, str_of(suspect->id)));

		if (!suspect->is_silent || !member->active)
			continue;
		silent++;
		buf_format(&names, "%s%s at %s", silent > 1 ? ", " : "", member->id, member->url);
	}
	if (silent * 2 > others) {
		complaint_say(complaints, COMPLAINT_PEERS,
			"%u of the %u other workers cannot be reached from here: %s", silent, others,
			buf_text(&names));
		if (!reach->complains)
			report_now(reach->cluster->report);
		reach->complains = true;
	} else if (reach->complains) {
		reach->complains = false;
		complaint_end(complaints, COMPLAINT_PEERS);
		complaint_end(complaints, COMPLAINT_CUT);
	}
}

void reach_heard(struct reach *reach, bool cut)
{
	struct complaints *complaints = reach->cluster->complaints;

	loop_assert(reach->cluster->run.loop);
	cut &= reach->complains;
	if (cut && reach->told_cut)
		complaint_say(complaints, COMPLAINT_CUT,
			"most workers reach each other and not this one: requests should go to the others");
	else if (!cut)
		complaint_end(complaints, COMPLAINT_CUT);
	reach->told_cut = cut;
}

/* ---- turns ---- */

static void look(struct reach *reach, const struct snapshot *snapshot)
{
	gather(reach, snapshot);
	sweep(reach);
	judge(reach, snapshot);
}

static void turn(void *arg)
{
	struct reach *reach = arg;
	AUTO(snapshot) *snapshot = cluster_snapshot(reach->cluster);

	loop_assert(reach->cluster->run.loop);
	if (reach->stopped)
		return;
	atomic_store(&reach->turning, false);
	look(reach, snapshot);
	if (reach->suspects) {
		atomic_store(&reach->turning, true);
		loop_timer_start(reach->cluster->run.loop, &reach->timer, REACH_EVERY_MS, turn, reach);
	}
	for (struct suspect *suspect = reach->suspects; suspect; suspect = suspect->next)
		if (!suspect->probe.call)
			probe(suspect, snapshot);
}

void reach_doubt(struct reach *reach)
{
	if (reach && !atomic_exchange(&reach->turning, true))
		loop_post(reach->cluster->run.loop, turn, reach);
}

/* ---- life ---- */

struct reach *reach_start(struct cluster *cluster)
{
	struct reach *reach = xnew(struct reach);

	loop_assert(cluster->run.loop);
	*reach = (struct reach){ .cluster = cluster };
	return reach;
}

void reach_stop(struct reach *reach)
{
	if (!reach)
		return;
	loop_assert(reach->cluster->run.loop);
	reach->stopped = true;
	loop_timer_stop(reach->cluster->run.loop, &reach->timer);
	while (reach->suspects) {
		struct suspect *suspect = reach->suspects;

		reach->suspects = suspect->next;
		drop_suspect(suspect);
	}
}

void reach_free(struct reach *reach)
{
	free(reach);
}
