/* SPDX-License-Identifier: Apache-2.0 */
#include "graphql/graphql_request.h"

#include "graphql/graphql_limits.h"

void graphql_request_fini(struct graphql_request *request)
{
	buf_fini(&request->query);
	buf_fini(&request->name);
	json_doc_free(TAKE(request->doc));
}

/* ret_n: how often the parameter is there, 0 or 1. */
static bool read_parameter(
	struct str query, const char *name, struct buf *into, unsigned *ret_n, struct error *err)
{
	unsigned n = http_query_get(query, name, into);

	if (into->failed)
		return error_set(err, ERROR_INVALID, NULL, "parameter %s is broken, or longer than %zu bytes",
			name, into->max);
	if (n > 1)
		return error_set(err, ERROR_INVALID, NULL, "parameter %s is there %u times", name, n);
	*ret_n = n;
	return true;
}

static bool set_variables(const struct json *node, struct graphql_request *request, struct error *err)
{
	enum json_kind kind = json_kind(node);

	if (kind != JSON_NONE && kind != JSON_NULL && kind != JSON_OBJECT)
		return error_set(err, ERROR_INVALID, NULL, "variables are %s, and have to be an object",
			json_kind_name(kind));
	request->variables = kind == JSON_OBJECT ? node : NULL;
	return true;
}

static bool read_url(struct str query, struct graphql_request *request, struct error *err)
{
	AUTO_FINI(buf) variables = buf_limit(GRAPHQL_TEXT_MAX);
	unsigned n;

	request->name = buf_limit(GRAPHQL_TEXT_MAX);
	if (!read_parameter(query, "operationName", &request->name, &n, err) ||
		!read_parameter(query, "variables", &variables, &n, err))
		return false;
	request->operation = buf_str(&request->name);
	if (!variables.len || str_is(str_trim(buf_str(&variables)), "null"))
		return true;
	if (!json_parse(buf_str(&variables), &request->doc, err))
		return error_add(err, "variables");
	return set_variables(json_root(request->doc), request, err);
}

static bool read_get(struct str query, struct graphql_request *request, struct error *err)
{
	unsigned n;

	request->query = buf_limit(GRAPHQL_TEXT_MAX);
	if (!read_parameter(query, "query", &request->query, &n, err))
		return false;
	if (!n)
		return error_set(
			err, ERROR_INVALID, NULL, "the parameter query is missing, which has the query");
	request->text = buf_str(&request->query);
	return read_url(query, request, err);
}

static bool read_text(
	const struct json *object, const char *key, bool wanted, struct str *ret, struct error *err)
{
	const struct json *node = json_find(object, key);

	if (json_get_str(node, ret))
		return true;
	if (json_kind(node) != JSON_NONE && json_kind(node) != JSON_NULL)
		return error_set(err, ERROR_INVALID, NULL, "\"%s\" is %s, and has to be a string", key,
			json_kind_name(json_kind(node)));
	return !wanted || error_set(err, ERROR_INVALID, NULL, "\"%s\" is missing, which has the query", key);
}

static bool read_json(struct str body, struct graphql_request *request, struct error *err)
{
	const struct json *root;

	if (!json_parse(body, &request->doc, err))
		return error_add(err, "the body");
	root = json_root(request->doc);
	if (json_kind(root) != JSON_OBJECT)
		return error_set(err, ERROR_INVALID, NULL,
			"the body is %s, and has to be an object: one query at a time",
			json_kind_name(json_kind(root)));
	return read_text(root, "query", true, &request->text, err) &&
	       read_text(root, "operationName", false, &request->operation, err) &&
	       set_variables(json_find(root, "variables"), request, err);
}

static bool is_type(const char *content_type, const char *wanted)
{
	struct str type = str_of(content_type), head;

	if (str_until(&type, ';', &head))
		type = head;
	return str_is_nocase(str_trim(type), wanted);
}

bool graphql_request_read(enum http_method method, struct str query, const char *content_type,
	struct str body, struct graphql_request *request, struct error *err)
{
	if (method == HTTP_GET)
		return read_get(query, request, err);
	if (method != HTTP_POST)
		return error_set(err, ERROR_INVALID, NULL, "queries come by GET or POST, not by %s",
			http_method_name(method));
	if (body.len > GRAPHQL_BODY_MAX)
		return error_set(err, ERROR_TOO_LARGE, NULL, "the body has %zu bytes, over the limit of %d",
			body.len, GRAPHQL_BODY_MAX);
	if (is_type(content_type, "application/json"))
		return read_json(body, request, err);
	if (is_type(content_type, "application/graphql")) {
		request->text = body;
		return read_url(query, request, err);
	}
	return error_set(err, ERROR_INVALID, NULL,
		"Content-Type is %s%.60s%s, and has to be application/json or application/graphql",
		content_type ? "\"" : "missing", content_type ? content_type : "", content_type ? "\"" : "");
}
