/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_ticket - the right to reply to a request from any thread.
 *
 * The request knows its tickets and takes its address out of them when it dies. Only the loop
 * reads or writes that address, so there is no lock: a reply travels to the loop first.
 */
#include "common/http_server_priv.h"

#include "common/check.h"

#define HTTP_TICKET_MAGIC MAGIC('H', 'T', 'K', 'T')

struct http_ticket {
	uint32_t magic;
	struct loop *loop;
	struct http_request *request; /* NULL: it has died */
	struct http_ticket *next;     /* of the same request */
	struct http_response *response;
};

struct http_ticket *http_ticket_new(struct http_request *request)
{
	http_request_assert(request);
	struct http_ticket *ticket = xnew(struct http_ticket);
	ticket->magic = HTTP_TICKET_MAGIC;
	ticket->loop = http_request_loop(request);
	ticket->request = request;
	ticket->next = request->tickets;
	request->tickets = ticket;
	return ticket;
}

static void leave_request(struct http_ticket *ticket)
{
	struct http_ticket **at = &ticket->request->tickets;
	while (*at != ticket)
		at = &(*at)->next;
	*at = ticket->next;
}

static void deliver(void *arg)
{
	struct http_ticket *ticket = OBJ_CAST(http_ticket, HTTP_TICKET_MAGIC, arg);
	struct http_request *request = ticket->request;
	if (request)
		leave_request(ticket);
	if (request && !request->response)
		http_request_reply(request, TAKE(ticket->response));
	http_response_free(ticket->response);
	ticket->magic = 0;
	free(ticket);
}

void http_ticket_reply(struct http_ticket *ticket, struct http_response *response)
{
	CHECK(ticket && ticket->magic == HTTP_TICKET_MAGIC && !ticket->response);
	ticket->response = response;
	loop_post(ticket->loop, deliver, ticket);
}

void http_ticket_drop(struct http_ticket *ticket)
{
	http_ticket_reply(ticket, http_response_empty(500));
}

void http_ticket_orphan_all(struct http_request *request)
{
	for (struct http_ticket *ticket = request->tickets; ticket; ticket = ticket->next)
		ticket->request = NULL;
	request->tickets = NULL;
}
