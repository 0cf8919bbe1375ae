/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls_pems - keys and certificates for tests only: two servers of 127.0.0.1 and a client.
 */
#pragma once

#define PEM_ONE_END_S INT64_C(4948839296) /* 2126-10-28 05:34:56 */

static const char pem_one_cert[] =
	"-----BEGIN CERTIFICATE-----\n"
	"MIIBhTCCASqgAwIBAgIUZ31cQNLI+Mh+UMQw/cuowWWR1GUwCgYIKoZIzj0EAwIw\n"
	"DjEMMAoGA1UEAwwDb25lMCAXDTI2MTEyMTA1MzQ1NloYDzIxMjYxMDI4MDUzNDU2\n"
	"WjAOMQwwCgYDVQQDDANvbmUwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARsdrKD\n"
	"T0fq/25B+VabIIGZP98SFXC/Q3OknI2un3lk9KdHQl0UYbUM2A/TbmESW7Fu2koa\n"
	"AA5ql9QTXStJbrr5o2QwYjAdBgNVHQ4EFgQUDYVbO8eBOPcBk3d62fxELpYAGTEw\n"
	"HwYDVR0jBBgwFoAUDYVbO8eBOPcBk3d62fxELpYAGTEwDwYDVR0TAQH/BAUwAwEB\n"
	"/zAPBgNVHREECDAGhwR/AAABMAoGCCqGSM49BAMCA0kAMEYCIQC80uCLApG/2vWe\n"
	"tT1Dyzo5tu/lIkw7qvYhWbZ6tW6fcwIhANYhnLl9+oZYG8b01oAM9kBnEVBBRZba\n"
	"qee2jfUNV6HF\n"
	"-----END CERTIFICATE-----\n";
static const char pem_one_key[] =
	"-----BEGIN PRIVATE KEY-----\n"
	"MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgakonRS+Axa8/fDk7\n"
	"TnwDatZsfy9bYsviHT7NnLhjHZChRANCAARsdrKDT0fq/25B+VabIIGZP98SFXC/\n"
	"Q3OknI2un3lk9KdHQl0UYbUM2A/TbmESW7Fu2koaAA5ql9QTXStJbrr5\n"
	"-----END PRIVATE KEY-----\n";

static const char pem_two_cert[] =
	"-----BEGIN CERTIFICATE-----\n"
	"MIIBhDCCASqgAwIBAgIUPjjJ6mSJ0hcJsyhZ/6mZuI6qNBgwCgYIKoZIzj0EAwIw\n"
	"DjEMMAoGA1UEAwwDdHdvMCAXDTI2MTEyMTA1MzQ1NloYDzIxMjYxMDI4MDUzNDU2\n"
	"WjAOMQwwCgYDVQQDDAN0d28wWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATq3qOA\n"
	"4elH6pgqDjSQHl7cS0GLujqGbJIiDL1bD/41P+cZ6R9ZbHXmwXvBq4G7mYp80Lrn\n"
	"TGJdxuvDgcK0JGkIo2QwYjAdBgNVHQ4EFgQU1UFDTwdw7wYDhnijr2tC+vGgvWow\n"
	"HwYDVR0jBBgwFoAU1UFDTwdw7wYDhnijr2tC+vGgvWowDwYDVR0TAQH/BAUwAwEB\n"
	"/zAPBgNVHREECDAGhwR/AAABMAoGCCqGSM49BAMCA0gAMEUCIQClHdKeLd+Fu3xN\n"
	"qmnwe1z0PdIt+D/SdSymdiPW1Pr5fQIgbiPYXMuTn32v1u//X0iEa7c+x4acxcVe\n"
	"YwwRs1TgaTc=\n"
	"-----END CERTIFICATE-----\n";
static const char pem_two_key[] =
	"-----BEGIN PRIVATE KEY-----\n"
	"MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgcqEe8tdt5icGM/fM\n"
	"lBuYOhhsf7T6Rvr95SpVSA+UOoyhRANCAATq3qOA4elH6pgqDjSQHl7cS0GLujqG\n"
	"bJIiDL1bD/41P+cZ6R9ZbHXmwXvBq4G7mYp80LrnTGJdxuvDgcK0JGkI\n"
	"-----END PRIVATE KEY-----\n";

static const char pem_client_cert[] =
	"-----BEGIN CERTIFICATE-----\n"
	"MIIBizCCATCgAwIBAgIUa9Paeu1hD4skbyQtE8KMc6QGuGYwCgYIKoZIzj0EAwIw\n"
	"ETEPMA0GA1UEAwwGY2xpZW50MCAXDTI2MTEyMTA1MzQ1NloYDzIxMjYxMDI4MDUz\n"
	"NDU2WjARMQ8wDQYDVQQDDAZjbGllbnQwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC\n"
	"AAQRw/DFLNx/qqQ/hXrgntuequMOt0HLiKizjACfS4XuZQEmM4ljjihmJdFncMaJ\n"
	"VBOZFEgPutMFqVcwDXleGTxAo2QwYjAdBgNVHQ4EFgQUjdA17EjxGrzAjHIfhhfZ\n"
	"nlg+rjswHwYDVR0jBBgwFoAUjdA17EjxGrzAjHIfhhfZnlg+rjswDwYDVR0TAQH/\n"
	"BAUwAwEB/zAPBgNVHREECDAGhwR/AAABMAoGCCqGSM49BAMCA0kAMEYCIQCWwLi8\n"
	"qq5GUq2v/pHi96xHytLgIN93q89NO5fbB4LzjwIhAL6jPLcTBDtoisaG9yRhZtYh\n"
	"yhcYlJMhwb27TvdIrd53\n"
	"-----END CERTIFICATE-----\n";
static const char pem_client_key[] =
	"-----BEGIN PRIVATE KEY-----\n"
	"MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg1uJr0pL8Jht6LIIz\n"
	"AaIP3uiVGj6fpiMdJXPxTzcqlbmhRANCAAQRw/DFLNx/qqQ/hXrgntuequMOt0HL\n"
	"iKizjACfS4XuZQEmM4ljjihmJdFncMaJVBOZFEgPutMFqVcwDXleGTxA\n"
	"-----END PRIVATE KEY-----\n";
