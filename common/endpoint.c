/* SPDX-License-Identifier: Apache-2.0 */
#include "common/endpoint.h"

#include <string.h>

#include "common/check.h"
#include "common/pool.h"

#define JOB_MAGIC MAGIC('J', 'O', 'B', 'C')

/* The call and what it stands on. The first member is what the application sees. */
struct job {
	struct endpoint_call call;
	uint32_t magic;
	struct pool *pool;
	endpoint_job_f *run;
	endpoint_refuse_f *refuse;
	void (*context_free)(void *context);
	struct http_ticket *ticket;
	char *text; /* target, path, query, body */
};

static void job_free(struct job *job)
{
	if (job->context_free)
		job->context_free(job->call.context);
	http_headers_free(job->call.headers);
	free(job->text);
	job->magic = 0;
	free(job);
}

static void refuse(struct job *job, enum error_kind kind, const char *text)
{
	struct error err;
	(void)error_set(&err, kind, NULL, "%s", text);
	http_ticket_reply(TAKE(job->ticket), job->refuse(&err));
	job_free(job);
}

static struct str put(char **at, struct str s)
{
	char *begin = *at;
	if (s.len > 0)
		memcpy(begin, s.at, s.len);
	*at += s.len;
	return str_from(begin, s.len);
}

static void copy_texts(struct job *job, const struct http_request *request, struct str body)
{
	struct str target = http_request_target(request), path = http_request_path(request);
	struct str query = http_request_query(request);
	job->text = check_alloc(1, target.len + path.len + query.len + body.len + 1);
	char *at = job->text;
	job->call.target = put(&at, target);
	job->call.path = put(&at, path);
	job->call.query = put(&at, query);
	job->call.body = put(&at, body);
}

struct copying {
	struct http_headers *headers;
	bool failed;
};

static void copy_header(void *arg, const char *name, const char *value)
{
	struct copying *copying = arg;
	if (!http_headers_add(copying->headers, str_of(name), str_of(value)))
		copying->failed = true;
}

static void run_job(void *arg)
{
	struct job *job = arg;
	CHECK(job->magic == JOB_MAGIC);
	job->run(&job->call);
}

static void on_collected(void *arg, struct http_request *request, struct str body, const struct error *err)
{
	struct job *job = arg;
	CHECK(job->magic == JOB_MAGIC);
	if (err) {
		refuse(job, err->kind, err->text);
		return;
	}
	copy_texts(job, request, body);
	struct copying copying = { .headers = job->call.headers };
	http_request_each_header(request, copy_header, &copying);
	if (copying.failed)
		refuse(job, ERROR_INVALID,
			"a header has a character that may not be there, or there are too many");
	else if (!pool_submit(job->pool, run_job, job))
		refuse(job, ERROR_BUSY, "too many requests are waiting");
}

static void on_gone(void *arg)
{
	struct job *job = arg;
	CHECK(job->magic == JOB_MAGIC);
	http_ticket_drop(TAKE(job->ticket));
	job_free(job);
}

void endpoint_start_job(struct http_request *request, struct pool *pool, size_t body_max, endpoint_job_f *run,
	endpoint_refuse_f *refuse_f, void *context, void (*context_free)(void *context))
{
	struct job *job = xnew(struct job);
	job->magic = JOB_MAGIC;
	job->pool = pool;
	job->run = run;
	job->refuse = refuse_f;
	job->context_free = context_free;
	job->call.context = context;
	job->call.method = http_request_method(request);
	job->call.headers = http_headers_new();
	job->ticket = http_ticket_new(request);
	http_request_collect_or(request, body_max, on_collected, on_gone, job);
}

void endpoint_reply(struct endpoint_call *call, struct http_response *response)
{
	struct job *job = (struct job *)(void *)call;
	CHECK(job->magic == JOB_MAGIC);
	http_ticket_reply(TAKE(job->ticket), response);
	job_free(job);
}
