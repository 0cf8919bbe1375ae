/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crc32c - sums are bit-reflected: the lowest bit stands for the highest power.
 *
 *   tables.step[k][b]   what byte b does to the sum when k bytes follow in the same group of eight
 *   tables.jump[k][b]   what byte k of a sum becomes when RUN zeros follow
 */
#include "common/crc32c.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#define POLYNOMIAL 0x82f63b78u /* reflected */
#define GROUP      8
#define RUN        1024u /* bytes of one of three runs; whole groups */

static struct {
	uint32_t step[GROUP][256];
	uint32_t jump[4][256];
	bool has_instruction;
} tables;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static uint32_t add_zeros(uint32_t sum, size_t n)
{
	while (n--)
		sum = tables.step[0][sum & 0xff] ^ sum >> 8;
	return sum;
}

static void make_steps(void)
{
	for (uint32_t b = 0; b < 256; b++) {
		uint32_t sum = b;

		for (int bit = 0; bit < 8; bit++)
			sum = sum & 1 ? sum >> 1 ^ POLYNOMIAL : sum >> 1;
		tables.step[0][b] = sum;
	}
	for (size_t k = 1; k < GROUP; k++)
		for (size_t b = 0; b < 256; b++)
			tables.step[k][b] = add_zeros(tables.step[k - 1][b], 1);
}

static void make_tables(void)
{
	make_steps();
	for (size_t k = 0; k < 4; k++)
		for (uint32_t b = 0; b < 256; b++)
			tables.jump[k][b] = add_zeros(b << 8 * k, RUN);
#if defined(__x86_64__)
	tables.has_instruction = __builtin_cpu_supports("sse4.2") > 0;
#endif
}

static uint64_t read_group(const uint8_t *at)
{
	uint64_t group = 0;

	for (size_t i = 0; i < GROUP; i++)
		group |= (uint64_t)at[i] << 8 * i;
	return group;
}

static uint32_t by_tables(uint32_t sum, const uint8_t *at, size_t len)
{
	for (; len >= GROUP; at += GROUP, len -= GROUP) {
		uint64_t group = read_group(at) ^ sum;

		sum = 0;
		for (size_t k = 0; k < GROUP; k++)
			sum ^= tables.step[GROUP - 1 - k][group >> 8 * k & 0xff];
	}
	for (; len; at++, len--)
		sum = tables.step[0][(sum ^ *at) & 0xff] ^ sum >> 8;
	return sum;
}

#if defined(__x86_64__)
#define WITH_INSTRUCTION __attribute__((target("sse4.2")))

static uint32_t jump(uint32_t sum)
{
	return tables.jump[0][sum & 0xff] ^ tables.jump[1][sum >> 8 & 0xff] ^
	       tables.jump[2][sum >> 16 & 0xff] ^ tables.jump[3][sum >> 24];
}

WITH_INSTRUCTION static uint64_t step(uint64_t sum, const uint8_t *at)
{
	uint64_t group;

	memcpy(&group, at, sizeof group);
	return __builtin_ia32_crc32di(sum, group);
}

/* One instruction takes three cycles, and a new one may begin in each. */
WITH_INSTRUCTION static uint32_t three_runs(uint32_t sum, const uint8_t *at)
{
	uint64_t first = sum, second = 0, third = 0;

	for (size_t i = 0; i < RUN; i += GROUP) {
		first = step(first, at + i);
		second = step(second, at + RUN + i);
		third = step(third, at + 2 * RUN + i);
	}
	return jump(jump((uint32_t)first) ^ (uint32_t)second) ^ (uint32_t)third;
}

WITH_INSTRUCTION static uint32_t by_instruction(uint32_t sum, const uint8_t *at, size_t len)
{
	uint64_t rest;

	for (; len >= 3 * RUN; at += 3 * RUN, len -= 3 * RUN)
		sum = three_runs(sum, at);
	rest = sum;
	for (; len >= GROUP; at += GROUP, len -= GROUP)
		rest = step(rest, at);
	return by_tables((uint32_t)rest, at, len);
}
#else
#define by_instruction by_tables
#endif

uint32_t crc32c_add(uint32_t sum, const void *bytes, size_t len)
{
	(void)pthread_once(&once, make_tables);
	return ~(tables.has_instruction ? by_instruction(~sum, bytes, len) : by_tables(~sum, bytes, len));
}

uint32_t crc32c_add_by_tables(uint32_t sum, const void *bytes, size_t len)
{
	(void)pthread_once(&once, make_tables);
	return ~by_tables(~sum, bytes, len);
}
