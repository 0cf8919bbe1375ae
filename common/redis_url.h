/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redis_url - the address of a Redis as a value: the forms that common/redis.h names.
 *
 * Users and passwords are percent-decoded. An error never quotes the address: it may have a password.
 * Thread  any; pure.
 */
#pragma once

#include <stdint.h>

#include "common/error.h"

#define REDIS_HOSTS_MAX 16

struct redis_host {
	char name[256];
	uint16_t port;
};
struct redis_url {
	struct redis_host hosts[REDIS_HOSTS_MAX]; /* sentinels, where there is a master's name; else one */
	size_t hosts_len;
	char socket[108];         /* "": TCP */
	char master[128];         /* "": no sentinels */
	char user[128], password[512]; /* "": none */
	uint64_t database;
};
bool redis_url_parse(const char *text, struct redis_url *ret, struct error *err) MUST_CHECK;
