/* SPDX-License-Identifier: Apache-2.0 */
/*
 * openapi - GET /api/openapi.json: OpenAPI 3.1 of all endpoints, made of the route table (api/describe.h), parameters.def, schemas.def and the
 * fields of entities. Nobody is asked who it is: it holds nothing of this cluster.
 *
 * Thread  pool.
 */
#include <string.h>

#include "leader/api.h"
#include "leader/api/call.h"
#include "leader/api/describe.h"
#include "proto/entity_table.h"

#define BODY_MAX    (4 * 1024 * 1024)
#define PATH_MAX_   256
#define SCHEMA_PATH "#/components/schemas/"

const struct route_about about_openapi[] = {
	{ .method = HTTP_GET, .summary = "This document.", .gives = "Object" },
	{ 0 },
};

struct writing {
	struct json_writer w;
	struct buf unknown; /* names that nobody describes */
};

static const struct {
	const char *name, *schema;
} schemas[] = {
#define SCHEMA(name, schema) { #name, schema },
#include "leader/api/schemas.def"
#undef SCHEMA
};

static const struct {
	const char *name, *schema, *about;
} parameters[] = {
#define PARAMETER(name, schema, about) { name, schema, about },
#include "leader/api/parameters.def"
#undef PARAMETER
};

static void open_member(struct json_writer *w, const char *name)
{
	json_key(w, str_of(name));
	json_open_object(w);
}

static void put_parsed(struct json_writer *w, const char *name, const char *text)
{
	AUTO(json_doc) *doc = NULL;

	json_key(w, str_of(name));
	json_value_node(w, json_parse(str_of(text), &doc, NULL) ? json_root(doc) : NULL);
}

static void unknown(struct writing *writing, const char *what, const char *name)
{
	buf_format(&writing->unknown, "%s%s %s", writing->unknown.len ? "\n" : "", what, name);
}

/* Schemas of entities. */

/* How a field is read, written (null: its default), or written by a patch. */
enum form { FORM_READ, FORM_BODY, FORM_PATCH };

static void put_type(struct json_writer *w, const char *type, bool or_null)
{
	if (!or_null) {
		json_put_text(w, "type", type);
		return;
	}
	json_key(w, STR("type"));
	json_open_array(w);
	json_value_str(w, str_of(type));
	json_value_str(w, STR("null"));
	json_close_array(w);
}

static void put_choices(struct json_writer *w, const char *choices, bool or_null)
{
	struct str rest = str_of(choices), one;

	json_key(w, STR("enum"));
	json_open_array(w);
	while (str_next(&rest, ',', &one))
		json_value_str(w, one);
	if (or_null)
		json_value_node(w, NULL);
	json_close_array(w);
}

static void put_text_rules(struct json_writer *w, const struct field *field, bool or_null)
{
	if (field->choices)
		put_choices(w, field->choices, or_null);
	if (field->max)
		json_put_int(w, "maxLength", field->max);
	if (field->min && (field->flags & FIELD_REQUIRED))
		json_put_int(w, "minLength", field->min);
}

/* One that is an object is null where it is empty, also when it is read. */
static void put_text(struct json_writer *w, const struct field *field, enum form form)
{
	bool is_object = field->flags & FIELD_OBJECT;

	put_type(w, is_object ? "object" : "string", is_object || form != FORM_READ);
	if (!is_object)
		put_text_rules(w, field, form != FORM_READ);
}

static void put_table(struct json_writer *w, const struct table *table, enum form form);

static void put_list(struct json_writer *w, const struct field *field, enum form form)
{
	put_type(w, "array", form != FORM_READ);
	json_put_int(w, "maxItems", ENTITY_ITEMS_MAX);
	open_member(w, "items");
	if (field->type == FIELD_ROWS) {
		put_table(w, field->rows, form == FORM_READ ? FORM_READ : FORM_BODY);
	} else {
		json_put_text(w, "type", "string");
		put_text_rules(w, field, false);
	}
	json_close_object(w);
}

static void put_time(struct json_writer *w, enum form form)
{
	json_key(w, STR("type"));
	json_open_array(w);
	json_value_str(w, STR("string"));
	json_value_str(w, STR("integer"));
	if (form != FORM_READ)
		json_value_str(w, STR("null"));
	json_close_array(w);
}

static void put_number(struct json_writer *w, const struct field *field, enum form form)
{
	put_type(w, "integer", form != FORM_READ);
	json_put_int(w, "minimum", field->min);
	json_put_int(w, "maximum", field->max);
}

static void put_pairs(struct json_writer *w, enum form form)
{
	put_type(w, "object", form != FORM_READ);
	open_member(w, "additionalProperties");
	put_type(w, "string", form != FORM_READ);
	json_close_object(w);
}

static void put_rules(struct json_writer *w, const struct field *field, enum form form)
{
	switch (field->type) {
	case FIELD_TEXT:
	case FIELD_PASSWORD:
	case FIELD_SECRET:
		put_text(w, field, form);
		break;
	case FIELD_TEXTS:
	case FIELD_ROWS:
		put_list(w, field, form);
		break;
	case FIELD_BOOL:
		put_type(w, "boolean", form != FORM_READ);
		break;
	case FIELD_NUMBER:
		put_number(w, field, form);
		break;
	case FIELD_TIME:
		put_time(w, form);
		break;
	case FIELD_PAIRS:
		put_pairs(w, form);
		break;
	}
}

static bool is_in(const struct field *field, enum form form)
{
	return form != FORM_READ || !(field->flags & FIELD_WRITE_ONLY);
}

static void put_field(struct json_writer *w, const struct field *field, enum form form)
{
	open_member(w, field->name);
	put_rules(w, field, form);
	json_put_text(w, "description", field->about);
	if (field->flags & FIELD_WRITE_ONLY)
		json_put_bool(w, "writeOnly", true);
	if (field->flags & FIELD_IMMUTABLE)
		json_put_bool(w, "x-immutable", true);
	json_close_object(w);
}

/* What is always there, or must be. Secrets that are not given are made, or stay. */
static bool is_required(const struct field *field, enum form form)
{
	if (form == FORM_READ)
		return is_in(field, form);
	return form == FORM_BODY && (field->flags & FIELD_REQUIRED) && !(field->flags & FIELD_WRITE_ONLY);
}

static void put_fields(struct json_writer *w, const struct table *table, enum form form)
{
	for (size_t i = 0; i < table->len; i++)
		if (is_in(&table->fields[i], form))
			put_field(w, &table->fields[i], form);
}

static void put_required(struct json_writer *w, const struct table *table, enum form form, bool named)
{
	json_key(w, STR("required"));
	json_open_array(w);
	if (named) {
		json_value_str(w, STR("id"));
		json_value_str(w, STR("revision"));
	}
	for (size_t i = 0; i < table->len; i++)
		if (is_required(&table->fields[i], form))
			json_value_str(w, str_of(table->fields[i].name));
	json_close_array(w);
}

static void put_table(struct json_writer *w, const struct table *table, enum form form)
{
	json_put_text(w, "type", "object");
	json_put_bool(w, "additionalProperties", false);
	put_required(w, table, form, false);
	open_member(w, "properties");
	put_fields(w, table, form);
	json_close_object(w);
}

/* Beside the fields. A body may say them, if they are the same. */
static void put_names(struct json_writer *w, enum form form)
{
	put_parsed(w, "id", "{\"type\":\"string\",\"minLength\":1,\"maxLength\":255}");
	put_parsed(w, "revision", form == FORM_READ ? "{\"type\":\"integer\",\"minimum\":0}" : "{}");
	if (form != FORM_READ)
		put_parsed(w, "kind", "{\"type\":\"string\"}");
}

static void put_entity(struct json_writer *w, enum entity_kind kind, const char *ending, enum form form)
{
	char name[64];

	(void)snprintf(name, sizeof(name), "%s%s", entity_kind_name(kind), ending);
	open_member(w, name);
	json_put_text(w, "type", "object");
	json_put_bool(w, "additionalProperties", false);
	put_required(w, entity_table(kind), form, form == FORM_READ);
	open_member(w, "properties");
	put_names(w, form);
	put_fields(w, entity_table(kind), form);
	json_close_object(w);
	json_close_object(w);
}

static void put_of_kind(struct json_writer *w, enum entity_kind kind, const char *ending, const char *schema)
{
	AUTO_FINI(buf) text = buf_limit(1024);
	char name[64];

	(void)snprintf(name, sizeof(name), "%s%s", entity_kind_name(kind), ending);
	for (const char *at = schema; *at; at++)
		if (*at == '%')
			buf_puts(&text, entity_kind_name(kind));
		else
			buf_putc(&text, *at);
	put_parsed(w, name, buf_text(&text));
}

static void put_kind(struct json_writer *w, enum entity_kind kind)
{
	put_entity(w, kind, "", FORM_READ);
	put_entity(w, kind, "Body", FORM_BODY);
	put_entity(w, kind, "Patch", FORM_PATCH);
	put_of_kind(w, kind, "List",
		"{\"type\":\"object\",\"required\":[\"total\",\"revision\",\"items\"],\"properties\":{"
		"\"total\":{\"type\":\"integer\"},\"revision\":{\"type\":\"integer\"},"
		"\"items\":{\"type\":\"array\",\"items\":{\"$ref\":\"" SCHEMA_PATH "%\"}}}}");
	put_of_kind(w, kind, "Made",
		"{\"anyOf\":[{\"$ref\":\"" SCHEMA_PATH "%\"},{\"$ref\":\"" SCHEMA_PATH "NewSecret\"}]}");
}

static void put_components(struct json_writer *w)
{
	open_member(w, "components");
	put_parsed(w, "securitySchemes",
		"{\"basic\":{\"type\":\"http\",\"scheme\":\"basic\","
		"\"description\":\"A user and password, or a user and API key, or a client id and its "
		"secret.\"}}");
	open_member(w, "schemas");
	for (size_t i = 0; i < sizeof(schemas) / sizeof(schemas[0]); i++)
		put_parsed(w, schemas[i].name, schemas[i].schema);
	for (unsigned kind = 0; kind < ENTITY_KINDS; kind++)
		put_kind(w, (enum entity_kind)kind);
	json_close_object(w);
	json_close_object(w);
}

/* Operations. */

static bool is_schema(const char *name)
{
	bool found = *name == '%';

	for (size_t i = 0; i < sizeof(schemas) / sizeof(schemas[0]); i++)
		found |= !strcmp(schemas[i].name, name);
	return found;
}

static void put_content(
	struct writing *writing, const struct route *row, const char *type, const char *schema)
{
	struct json_writer *w = &writing->w;
	char ref[128];

	if (!is_schema(schema))
		unknown(writing, "schema", schema);
	(void)snprintf(ref, sizeof(ref), SCHEMA_PATH "%s%s",
		*schema == '%' ? entity_kind_name((enum entity_kind)row->what) : "",
		schema + (*schema == '%'));
	open_member(w, "content");
	open_member(w, type ? type : DESCRIBE_JSON);
	open_member(w, "schema");
	json_put_text(w, "$ref", ref);
	json_close_object(w);
	json_close_object(w);
	json_close_object(w);
}

static void put_parameter(struct writing *writing, const char *name)
{
	struct json_writer *w = &writing->w;
	size_t at = 0;

	while (at < sizeof(parameters) / sizeof(parameters[0]) && strcmp(parameters[at].name, name) != 0)
		at++;
	if (at == sizeof(parameters) / sizeof(parameters[0])) {
		unknown(writing, "parameter", name);
		return;
	}
	json_open_object(w);
	json_put_text(w, "name", name);
	json_put_text(w, "in", "query");
	json_put_text(w, "description", parameters[at].about);
	put_parsed(w, "schema", parameters[at].schema);
	json_close_object(w);
}

static void put_parameters(struct writing *writing, const struct route *row, const struct route_about *about)
{
	struct json_writer *w = &writing->w;

	json_key(w, STR("parameters"));
	json_open_array(w);
	for (size_t i = 0; about->query && row->parameters && row->parameters[i]; i++)
		put_parameter(writing, row->parameters[i]);
	if (about->condition) {
		json_open_object(w);
		json_put_text(w, "name", about->condition);
		json_put_text(w, "in", "header");
		put_parsed(w, "schema", "{\"type\":\"string\"}");
		json_close_object(w);
	}
	json_close_array(w);
}

static void put_answer(struct writing *writing, const struct route *row, const struct route_about *about,
	unsigned status, bool head)
{
	struct json_writer *w = &writing->w;
	char code[8];

	(void)snprintf(code, sizeof(code), "%u", status);
	open_member(w, code);
	json_put_text(w, "description", about->summary);
	if (about->gives && !head)
		put_content(writing, row, about->gives_type, about->gives);
	json_close_object(w);
}

static void put_errors(struct writing *writing, const struct route *row, bool head)
{
	static const char *const codes[] = { "4XX", "5XX" };

	for (size_t i = 0; i < 2; i++) {
		open_member(&writing->w, codes[i]);
		json_put_text(&writing->w, "description",
			i ? "Not now, or a fault." : "Refused; the message says why.");
		if (!head)
			put_content(writing, row, NULL, "Error");
		json_close_object(&writing->w);
	}
}

static void put_answers(
	struct writing *writing, const struct route *row, const struct route_about *about, bool head)
{
	struct json_writer *w = &writing->w;

	open_member(w, "responses");
	put_answer(writing, row, about, about->status ? about->status : 200, head);
	if (about->other)
		put_answer(writing, row, about, about->other, head);
	if (about->condition && !strcmp(about->condition, "If-None-Match"))
		put_parsed(w, "304", "{\"description\":\"It is what the caller has.\"}");
	put_errors(writing, row, head);
	json_close_object(w);
}

static const char *method_key(enum http_method method, bool head)
{
	switch (method) {
	case HTTP_POST:
		return "post";
	case HTTP_PUT:
		return "put";
	case HTTP_PATCH:
		return "patch";
	case HTTP_DELETE:
		return "delete";
	default:
		return head ? "head" : "get";
	}
}

static void put_operation(
	struct writing *writing, const struct route *row, const struct route_about *about, bool head)
{
	struct json_writer *w = &writing->w;

	open_member(w, method_key(about->method, head));
	json_put_text(w, "summary", about->summary);
	json_key(w, STR("tags"));
	json_open_array(w);
	json_value_str(w, str_of(row->operation));
	json_close_array(w);
	if (!row->authorise)
		put_parsed(w, "security", "[]");
	put_parameters(writing, row, about);
	if (about->takes) {
		open_member(w, "requestBody");
		put_content(writing, row, about->takes_type, about->takes);
		json_close_object(w);
	}
	put_answers(writing, row, about, head);
	json_close_object(w);
}

/* Paths. */

static void path_of(const struct route *row, const struct route_about *about, char into[PATH_MAX_])
{
	size_t len = strlen(row->path);

	len -= len && row->path[len - 1] == '*';
	(void)snprintf(into, PATH_MAX_, "%.*s%s", (int)len, row->path, about->below ? about->below : "");
}

/* One of all that are described. */
struct place {
	size_t row, about;
};

static bool next_place(struct route_table table, struct place *place)
{
	for (; place->row < table.len; place->row++, place->about = 0) {
		const struct route_about *about = table.rows[place->row].about;
		bool alias = table.rows[place->row].flags & DESCRIBE_ALIAS;

		for (; !alias && about && about[place->about].summary; place->about++)
			if (describe_is_for(&table.rows[place->row], &about[place->about]))
				return true;
	}
	return false;
}

static void put_operations_of(struct writing *writing, struct route_table table, const char *path)
{
	char other[PATH_MAX_];

	for (struct place at = { 0 }; next_place(table, &at); at.about++) {
		const struct route *row = &table.rows[at.row];
		const struct route_about *about = &row->about[at.about];

		path_of(row, about, other);
		if (strcmp(path, other) != 0)
			continue;
		put_operation(writing, row, about, false);
		if (about->method == HTTP_GET && (row->methods & ROUTE_M(HEAD)))
			put_operation(writing, row, about, true);
	}
}

static bool is_first(struct route_table table, const struct place *place, const char *path)
{
	char other[PATH_MAX_];

	for (struct place at = { 0 }; next_place(table, &at); at.about++) {
		path_of(&table.rows[at.row], &table.rows[at.row].about[at.about], other);
		if (!strcmp(path, other))
			return at.row == place->row && at.about == place->about;
	}
	return true;
}

static void put_path(struct writing *writing, struct route_table table, const char *path)
{
	struct json_writer *w = &writing->w;

	open_member(w, path);
	if (strstr(path, "{id}"))
		put_parsed(w, "parameters",
			"[{\"name\":\"id\",\"in\":\"path\",\"required\":true,"
			"\"schema\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":255}}]");
	put_operations_of(writing, table, path);
	json_close_object(w);
}

static void put_paths(struct writing *writing, struct route_table table)
{
	char path[PATH_MAX_];

	open_member(&writing->w, "paths");
	for (struct place at = { 0 }; next_place(table, &at); at.about++) {
		path_of(&table.rows[at.row], &table.rows[at.row].about[at.about], path);
		if (is_first(table, &at, path))
			put_path(writing, table, path);
	}
	json_close_object(&writing->w);
	for (size_t i = 0; i < table.len; i++)
		if (!table.rows[i].about)
			unknown(writing, "row", table.rows[i].path);
}

static void put_undescribed(struct writing *writing)
{
	struct str rest = buf_str(&writing->unknown), one;

	json_key(&writing->w, STR("x-undescribed"));
	json_open_array(&writing->w);
	while (str_next(&rest, '\n', &one))
		json_value_str(&writing->w, one);
	json_close_array(&writing->w);
}

struct http_response *openapi_serve(void *arg)
{
	struct buf body = buf_limit(BODY_MAX);
	struct writing writing = { .w = json_writer(&body), .unknown = buf_limit(64 * 1024) };
	struct json_writer *w = &writing.w;

	(void)arg;
	json_open_object(w);
	json_put_text(w, "openapi", "3.1.0");
	open_member(w, "info");
	json_put_text(w, "title", "zot-leader");
	json_put_text(w, "version", ZOT_VERSION);
	json_close_object(w);
	put_parsed(w, "security", "[{\"basic\":[]}]");
	put_paths(&writing, api_routes());
	put_components(w);
	put_undescribed(&writing);
	json_close_object(w);
	buf_fini(&writing.unknown);
	return api_json(200, &body);
}
