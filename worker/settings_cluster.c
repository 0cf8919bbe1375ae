/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/settings_cluster.h"

/* Members of a folder each are what zot's own example of a local cluster has, and it has no key for it. One that is wrongly taken for
 * shared loses what was pushed; one that is wrongly taken for isolated waits for an owner that is away. */
static bool is_isolated(const struct worker_settings *s)
{
	return s->isolated == ISOLATED_YES ||
	       (s->isolated == ISOLATED_AUTO && s->members.len > 1 && !s->s3_bucket);
}

static void fill_self(const struct worker_settings *s, struct member_settings *into)
{
	into->led = s->mode == MODE_WORKER;
	into->members = s->members;
	into->leaving = s->leaving;
	into->hash_key = s->hash_key;
	into->isolated = is_isolated(s);
	into->secret = s->secret;
	into->name = s->name;
	into->instance_number = s->instance_number;
	into->self_url = s->self_url;
	into->listens = s->address;
	into->check_self_url = s->check_self_url;
	into->zone = s->zone;
	into->tenants = s->tenants;
	into->https = s->tls_cert != NULL;
}

static void fill_leaders(const struct worker_settings *s, struct member_settings *into)
{
	into->leader_urls = s->leader_urls;
	into->leader_host = s->leader_host;
	into->leader_client_id = s->leader_client_id;
	into->leader_client_secret = s->leader_client_secret;
	into->ca_file = s->peer_ca;
	into->cert_file = s->peer_cert;
	into->key_file = s->peer_key;
	into->long_poll = s->long_poll;
	into->poll_every_ms = s->poll_every_ms;
	into->poll_timeout_ms = s->poll_timeout_ms;
	into->push_every_ms = s->push_every_ms;
	into->push_timeout_ms = s->push_timeout_ms;
	into->retry_delay_ms = s->retry_delay_ms;
	into->retry_factor = s->retry_factor;
}

struct member_settings settings_cluster(const struct worker_settings *settings)
{
	struct member_settings member = { .access_control = settings->access_control,
		.has_htpasswd = settings->htpasswd != NULL,
		.has_certificates = settings->tls_ca != NULL,
		.state_limit = settings->state_limit,
		.data = settings->data,
		.state_file = settings->db_path,
		.backup = settings->backup.enabled && settings->backup.can_read ? &settings->backup : NULL };

	fill_self(settings, &member);
	fill_leaders(settings, &member);
	return member;
}
