/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/api/cookie.h"

#include "common/clock.h"
#include "common/crypto.h"
#include "common/http_server.h"
#include "common/proxies.h"
#include "leader/session.h"

static bool is_tls(const struct leader *leader, const struct http_request *request)
{
	struct ip peer = http_request_ip(request);

	return leader->settings->tls_cert ||
	       (proxies_has(leader->proxies, &peer) &&
		       str_is_nocase(str_of(http_request_header(request, "X-Forwarded-Proto")), "https"));
}

void cookie_put(const struct leader *leader, struct http_request *request, const char *value)
{
	AUTO_FINI(buf) text = buf_limit(2 * SESSION_TEXT_MAX);

	buf_format(&text, SESSION_COOKIE "=%s; Path=/; HttpOnly; SameSite=Strict; Max-Age=%d%s", value,
		*value ? SESSION_S : 0, is_tls(leader, request) ? "; Secure" : "");
	http_request_reply_header(request, "Set-Cookie", buf_text(&text));
}

static struct str cookie_of(const struct http_request *request)
{
	return session_in_cookies(http_request_header(request, "Cookie"));
}

bool cookie_open(struct api_call *call, const struct state *state)
{
	if (!session_open(state, cookie_of(call->request), clock_wall_s(), &call->session))
		return false;
	login_user(state, str_of(call->session.user), &call->who);
	session_csrf(state, &call->session, call->csrf);
	return true;
}

void cookie_renew(struct api_call *call, const struct state *state)
{
	AUTO_FINI(buf) text = buf_limit(SESSION_TEXT_MAX);
	int64_t until_s = clock_wall_s() + SESSION_S;

	if (until_s - call->session.until_s < SESSION_RENEW_S)
		return;
	call->session.until_s = until_s;
	if (session_seal(state, &call->session, &text))
		cookie_put(call->leader, call->request, buf_text(&text));
}

static bool changes(enum http_method method)
{
	return method != HTTP_GET && method != HTTP_HEAD;
}

bool cookie_allows(const struct api_call *call)
{
	struct str said = str_of(http_request_header(call->request, "X-CSRF-Token"));

	return !*call->csrf || !changes(http_request_method(call->request)) ||
	       (said.len == SESSION_CSRF_SIZE - 1 && equal_secret(said.at, call->csrf, said.len));
}

bool cookie_is_page(const struct http_request *request)
{
	return cookie_of(request).len ||
	       str_is(str_of(http_request_header(request, "X-Requested-With")), "zot-pages");
}
