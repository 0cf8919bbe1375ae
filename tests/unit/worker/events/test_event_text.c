/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_event_text - records and the events that they are, byte by byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>
#include <string.h>

#include "worker/events/event_text.h"

#define DIGEST "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static const struct str tags[] = { { "v1", 2 }, { "v2", 2 } };
static const struct event_terms plain = { NULL, NULL, NULL };

static struct event_record record_of(enum event_kind kind)
{
	return (struct event_record){ .kind = kind,
		.id = { 1, 2, 3 },
		.at_ms = 1795435200123,
		.name = STR("a/b"),
		.digest = STR(DIGEST),
		.media_type = STR("type/x"),
		.tags = tags,
		.tags_len = 2,
		.actor = STR("ann"),
		.address = STR("192.0.2.1"),
		.method = STR("PUT"),
		.agent = STR("me \"1\"") };
}

static void test_a_record_is_read_as_it_was_written(void **state)
{
	AUTO_FINI(buf) bytes = buf_limit(EVENT_RECORD_MAX);
	struct event_record record = record_of(EVENT_PUT);
	struct event_reading again;
	struct error err;

	(void)state;
	record.made = true;
	event_record_write(&record, &bytes);
	assert_true(event_record_read(buf_str(&bytes), &again, &err));
	assert_true(again.record.made && !again.record.by_digest && again.record.kind == EVENT_PUT);
	assert_true(again.record.at_ms == record.at_ms && !memcmp(again.record.id, record.id, 16));
	assert_true(
		str_equal(again.record.name, record.name) && str_equal(again.record.digest, record.digest));
	assert_true(again.record.tags_len == 2 && str_equal(again.record.tags[1], tags[1]));
	assert_true(
		str_equal(again.record.agent, record.agent) && str_equal(again.record.actor, record.actor));
	event_reading_fini(&again);
	for (size_t len = 0; len < bytes.len; len++)
		assert_false(event_record_read(str_from(bytes.at, len), &again, &err));
}

static void test_long_agents_are_cut_and_too_many_tags_are_refused(void **state)
{
	static char agent[1000];
	static struct str many[EVENT_TAGS_MAX + 1];
	AUTO_FINI(buf) bytes = buf_limit(EVENT_RECORD_MAX), too_many = buf_limit(EVENT_RECORD_MAX);
	struct event_record record = record_of(EVENT_DELETE);
	struct event_reading again;
	struct error err;

	(void)state;
	memset(agent, 'x', sizeof(agent));
	record.agent = str_from(agent, sizeof(agent));
	event_record_write(&record, &bytes);
	assert_true(event_record_read(buf_str(&bytes), &again, &err));
	assert_int_equal(again.record.agent.len, EVENT_AGENT_MAX);
	event_reading_fini(&again);
	record.tags = many;
	record.tags_len = EVENT_TAGS_MAX + 1;
	event_record_write(&record, &too_many);
	assert_true(too_many.failed);
}

static void test_what_lint_refused_has_its_manifest(void **state)
{
	static char manifest[EVENT_MANIFEST_MAX + 1];

	(void)state;
	memset(manifest, ' ', sizeof(manifest));
	for (size_t over = 0; over < 2; over++) {
		AUTO_FINI(buf) bytes = buf_limit(EVENT_RECORD_MAX);
		struct event_record record = record_of(EVENT_LINT);
		struct event_reading again;
		struct error err;

		record.manifest = str_from(manifest, EVENT_MANIFEST_MAX + over);
		event_record_write(&record, &bytes);
		assert_true(event_record_read(buf_str(&bytes), &again, &err));
		assert_int_equal(again.record.manifest.len, over ? 0 : EVENT_MANIFEST_MAX);
		event_reading_fini(&again);
	}
}

static void test_which_events_a_change_is(void **state)
{
	struct event_record record = record_of(EVENT_PUT);
	struct event event, again;

	(void)state;
	record.made = true;
	assert_int_equal(event_record_events(&record), 3);
	event_record_event(&record, 0, &event);
	assert_true(event.type == EVENT_CREATED && !event.reference.len);
	event_record_event(&record, 1, &event);
	assert_true(event.type == EVENT_UPDATED && str_is(event.reference, "v1"));
	event_record_event(&record, 2, &again);
	assert_true(str_is(again.reference, "v2") && strcmp(again.id, event.id) != 0);
	event_record_event(&record, 1, &again);
	assert_string_equal(again.id, event.id);
	assert_int_equal(strlen(event.id), 36);
	assert_true(event.id[14] == '8' && strchr("89ab", event.id[19]));
	record.id[0]++;
	event_record_event(&record, 1, &again);
	assert_string_not_equal(again.id, event.id);
	record = record_of(EVENT_DELETE);
	record.by_digest = true;
	assert_int_equal(event_record_events(&record), 3);
	event_record_event(&record, 2, &event);
	assert_true(event.type == EVENT_DELETED && str_is(event.reference, DIGEST));
}

static void test_data(void **state)
{
	AUTO_FINI(buf) data = buf_limit(65536);
	struct event_record record = record_of(EVENT_PUT);
	struct event event;

	(void)state;
	event_record_event(&record, 0, &event);
	event_text_data(&record, &event, STR("{\"a\":1}"), &data);
	assert_string_equal(buf_text(&data),
		"{\"name\":\"a/b\",\"reference\":\"v1\",\"digest\":\"" DIGEST
		"\",\"mediaType\":\"type/x\",\"manifest\":\"{\\\"a\\\":1}\",\"actor\":{\"name\":\"ann\"},"
		"\"request\":{\"addr\":\"192.0.2.1\",\"method\":\"PUT\",\"useragent\":\"me \\\"1\\\"\"}}");
	buf_clear(&data);
	record.actor = record.address = record.method = STR_NONE;
	record.kind = EVENT_DELETE;
	event_record_event(&record, 0, &event);
	event_text_data(&record, &event, STR("{}"), &data);
	assert_string_equal(buf_text(&data),
		"{\"name\":\"a/b\",\"reference\":\"v1\",\"digest\":\"" DIGEST "\",\"mediaType\":\"type/x\"}");
	buf_clear(&data);
	record.kind = EVENT_PUT;
	record.made = true;
	event_record_event(&record, 0, &event);
	event_text_data(&record, &event, STR("{}"), &data);
	assert_string_equal(buf_text(&data), "{\"name\":\"a/b\"}");
}

static void test_headers(void **state)
{
	const struct event_terms terms = { "urn:x", "com.y", "a \"b\" 100% \xc3\xa4" };
	AUTO(http_headers) *headers = http_headers_new();
	struct event_record record = record_of(EVENT_LINT);
	struct event event;

	(void)state;
	event_record_event(&record, 0, &event);
	assert_true(event_text_headers(&terms, &record, &event, headers));
	assert_string_equal(http_headers_find(headers, "ce-specversion"), "1.0");
	assert_string_equal(http_headers_find(headers, "ce-id"), event.id);
	assert_string_equal(http_headers_find(headers, "ce-source"), "urn:x");
	assert_string_equal(http_headers_find(headers, "ce-type"), "com.y.image.lint_failed");
	assert_string_equal(http_headers_find(headers, "ce-time"), "2026-11-23T12:00:00.123Z");
	assert_string_equal(http_headers_find(headers, "ce-channel"), "a%20%22b%22%20100%25%20%C3%A4");
	assert_string_equal(http_headers_find(headers, "Content-Type"), "application/json");
}

static void test_structured(void **state)
{
	AUTO_FINI(buf) text = buf_limit(65536);
	struct event_record record = record_of(EVENT_PUT);
	struct event event;
	char wanted[512];

	(void)state;
	event_record_event(&record, 0, &event);
	event_text_structured(&plain, &record, &event, STR("{\"name\":\"a\"}"), &text);
	(void)snprintf(wanted, sizeof(wanted),
		"{\"specversion\":\"1.0\",\"id\":\"%s\",\"source\":\"zotregistry.dev\",\"type\":"
		"\"zotregistry.image."
		"updated\",\"time\":\"2026-11-23T12:00:00.123Z\",\"datacontenttype\":\"application/"
		"json\",\"data\":{"
		"\"name\":\"a\"}}",
		event.id);
	assert_string_equal(buf_text(&text), wanted);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_record_is_read_as_it_was_written),
		cmocka_unit_test(test_long_agents_are_cut_and_too_many_tags_are_refused),
		cmocka_unit_test(test_what_lint_refused_has_its_manifest),
		cmocka_unit_test(test_which_events_a_change_is),
		cmocka_unit_test(test_data),
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_structured),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
