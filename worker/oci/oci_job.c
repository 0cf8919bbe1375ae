/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/oci/oci_job.h"

#include "common/check.h"
#include "common/loop.h"
#include "common/pool.h"
#include "worker/auth/auth.h"
#include "worker/auth/snapshot.h"
#include "worker/oci/oci_call.h"
#include "worker/oci/oci_reply.h"
#include "worker/registry/registry.h"

#define JOB_MAGIC MAGIC('O', 'J', 'O', 'B')

static char *dup_or_null(const char *text)
{
	return text ? check_strdup(text) : NULL;
}

static struct oci_job *job_new(struct oci_call *call, route_job_f *run)
{
	struct oci_job *job = xnew(struct oci_job);
	const struct oci_ask *ask = &call->ask;

	job->magic = JOB_MAGIC;
	job->ask = *ask;
	job->ask.snapshot = snapshot_ref(ask->snapshot);
	job->ask.identity = identity_ref(ask->identity);
	job->texts[0] = str_dup(ask->query);
	job->texts[1] = dup_or_null(ask->content_type);
	job->texts[2] = dup_or_null(ask->if_none_match);
	job->texts[3] = dup_or_null(ask->if_match);
	job->texts[4] = TAKE(call->body);
	job->texts[5] = dup_or_null(ask->user_agent);
	job->ask.query = str_of(job->texts[0]);
	job->ask.content_type = job->texts[1];
	job->ask.if_none_match = job->texts[2];
	job->ask.if_match = job->texts[3];
	job->ask.user_agent = job->texts[5];
	job->ask.body = str_from(job->texts[4], job->texts[4] ? ask->body.len : 0);
	job->run = run;
	job->ticket = http_ticket_new(call->request);
	return job;
}

static void job_free(struct oci_job *job)
{
	CHECK(job->magic == JOB_MAGIC);
	job->magic = 0;
	if (job->own_free)
		job->own_free(job->own);
	snapshot_free(job->ask.snapshot);
	identity_free(job->ask.identity);
	for (size_t i = 0; i < sizeof(job->texts) / sizeof(job->texts[0]); i++)
		free(job->texts[i]);
	free(job);
}

static void run_job(void *arg)
{
	struct oci_job *job = OBJ_CAST(oci_job, JOB_MAGIC, arg);
	struct http_response *response = job->run(job);

	if (response)
		oci_job_reply(job, response);
}

static void submit(struct oci_job *job)
{
	struct error err;

	if (pool_submit(job->ask.registry->pool, run_job, job))
		return;
	(void)error_set(&err, ERROR_BUSY, NULL, "this worker is overloaded");
	oci_job_reply(job, oci_reply_error(&err));
}

void oci_job_start(struct oci_call *call, route_job_f *run)
{
	oci_job_start_with(call, run, NULL, NULL);
}

void oci_job_start_with(struct oci_call *call, route_job_f *run, void *own, void (*own_free)(void *own))
{
	struct oci_job *job;

	loop_assert(call->loop);
	job = job_new(call, run);
	job->own = own;
	job->own_free = own_free;
	submit(job);
}

void oci_job_asker(const struct oci_job *job, struct oci_asker *into)
{
	const struct oci_ask *ask = &job->ask;

	ip_format(&ask->client, into->address);
	into->asker = (struct index_asker){ .user = ask->identity->user,
		.address = into->address,
		.method = http_method_name(ask->method),
		.agent = ask->user_agent ? ask->user_agent : "" };
}

void oci_job_again(struct oci_job *job)
{
	pool_push(job->ask.registry->pool, run_job, job);
}

void oci_job_reply(struct oci_job *job, struct http_response *response)
{
	struct http_ticket *ticket = job->ticket;

	job_free(job);
	http_ticket_reply(ticket, response);
}
