/*
 * test_keys.h: keys made for these tests alone, and signatures of "the message" by the openssl command.
 */
#ifndef CRESCENT_TESTS_UNIT_CRYPTO_TEST_KEYS_H
#define CRESCENT_TESTS_UNIT_CRYPTO_TEST_KEYS_H

static const char rsa_private[] = "-----BEGIN PRIVATE KEY-----\n"
                                  "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQD5WEz820pusIwi\n"
                                  "pUpUGeLg+puE4rbvyZZ5HZrl9UmjEVBQjFnCaWEEyI2lvZaCkOqYKd8X3BUkEnwI\n"
                                  "teNvQK8sqwlF67yqxrjgOBA1ifOZWG59+ojFg68Nu+aOdcC2H4QsRGrBj4juIWhB\n"
                                  "9tCjnD6UF3AKfODdriBD5ZyXyCN8xvUGphzVHXUOAOBkvXp0yU/1YM/uaMhTkios\n"
                                  "hOCTovzqomgVIC1ACWtg/2GkS53aDYgPTm+ssmqf3tqRTGPS6T2pZb534TGOShSq\n"
                                  "NisGEKlbIo4oEwe2OIW9ULRPN6rFvMnpV+7Xr+UxUOw2l9dexH+SgE95eCCnghES\n"
                                  "JBiQ9ByZAgMBAAECggEACbUQDs7mL4EBM6gYSLOgJrWIsHMlZBh0dhharbpYpmpH\n"
                                  "21HJM6j6B60SkhZtusZqrfVKNiwobWaD9/UhaHUbpeob3StKBaLhN7BSfvDQhwTv\n"
                                  "epJgGMK4PWJawlkSGCmcOx8+weJeX33Q5CCKnbiUoomboDF4+xYc6lDsZgxWWetz\n"
                                  "mjrVssNRNyfpg6Ad6C2etv59e6EGvUrhFj7aFcPZlTdKeid5293hCI3pPmWkc2NO\n"
                                  "v53euMkvOSsDKctPnC6A2uAZAFlcxWvjI4fnYGT8zr/BGRL77g1ZS1/4VVgzXs0t\n"
                                  "6G3bXL15Nv+qJCjfLMh/L8nC4UNv7YUx7/vQPdBu8QKBgQD/Vn8ID8Dz8Un0RcXS\n"
                                  "K5/XmHbHyeTJtuuqKA/QK9gSL8/0GsYgnaOF6HUnwW5ca0+XzyOcwwPINtxgu2K3\n"
                                  "Vw6cXfHmYgJ77V3QG8Mj2EQE5fXR3qbM9sfssvycVQZCJNltZoY08my2l+2NUnOX\n"
                                  "G6m91jPXfXxC9EKBEaA2u01K0wKBgQD5/dN+ghAi8xdK08CiWcd7ObRRjETrAAVv\n"
                                  "6HvpPb57vL26htr+ezUSSrh8pnzgbvAtw6GdyJv/6qYThtRC+zZDAzrO7KNtc4/1\n"
                                  "uNvGEu4euNSvPvrHHTnZ7ZdvG+jdomGKnmu/mQm1WJGj4fJ+a0WWw17Vtb7bXjkF\n"
                                  "/lUwZFj/YwKBgQDmghOUF4S9tKpq10JLBg769yzkGCNu5q/BoQEFkU8yu+8kE7eh\n"
                                  "Yi5piP2askkLLeVgyyL/Nh6H9N7mhMQNd449I6JptTlA33y9jxKPnYFqWp+co0A5\n"
                                  "8N9zk/Hwv+EyfUm8Nb4atm/mNynBVxn65IJMWr/aXfJ8Dz6qflsAjf6s+QKBgBNf\n"
                                  "t39LZyK+QiTbakdqu8nx++aB/2lS9BjrJIc78MI4K2AESX6FX+SOA+QtJuphzp1N\n"
                                  "Vv4aaPSZY8uJnHOgcmEZI/qbXkMCPLrnW6jrGKcq3djDAb5ipnQcNKs4t4BNsE+E\n"
                                  "3YbYvmbeeVMBFMD1YUxA0d2wGx13HOY5ArMgY8FPAoGAecOr9MTy/71WnwcGErq3\n"
                                  "Fh/GPuElcB0ztFbPqks5cEyovzlbFiTnCwVOghw9UyCwl/NgK7uo7mX3hrmpMXDU\n"
                                  "JHTZnzpPGQ+jdtGe0fVb7Xii+ww1/Gq1LsWrRkFmk9qCOe5MwJpjOT0A89tiHqr2\n"
                                  "N12ky2NT96phaR0wcqrkrc8=\n"
                                  "-----END PRIVATE KEY-----\n";
static const char rsa_public[] = "-----BEGIN PUBLIC KEY-----\n"
                                 "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA+VhM/NtKbrCMIqVKVBni\n"
                                 "4PqbhOK278mWeR2a5fVJoxFQUIxZwmlhBMiNpb2WgpDqmCnfF9wVJBJ8CLXjb0Cv\n"
                                 "LKsJReu8qsa44DgQNYnzmVhuffqIxYOvDbvmjnXAth+ELERqwY+I7iFoQfbQo5w+\n"
                                 "lBdwCnzg3a4gQ+Wcl8gjfMb1BqYc1R11DgDgZL16dMlP9WDP7mjIU5IqLITgk6L8\n"
                                 "6qJoFSAtQAlrYP9hpEud2g2ID05vrLJqn97akUxj0uk9qWW+d+ExjkoUqjYrBhCp\n"
                                 "WyKOKBMHtjiFvVC0TzeqxbzJ6Vfu16/lMVDsNpfXXsR/koBPeXggp4IREiQYkPQc\n"
                                 "mQIDAQAB\n"
                                 "-----END PUBLIC KEY-----\n";
static const char p384_private[] = "-----BEGIN EC PRIVATE KEY-----\n"
                                   "MIGkAgEBBDB8ejVEVkG499yvBc8iKPlTcjCpvDK5Lf6Nu6TsOaiuX29QY05r1kHX\n"
                                   "vg3Jo4XQvWygBwYFK4EEACKhZANiAAQzUHbL71XYYBuIftCYqSCF5Dao7ZJVrZKA\n"
                                   "wegGT8rzTdaEOsIYk7BLC6IRXTufm/EmIr8//XCOUiOn9GnK9F5+AcVsu2UCeelW\n"
                                   "oyh4jNIFF0vcpFg4vKTJm2R30MznplM=\n"
                                   "-----END EC PRIVATE KEY-----\n";
static const char p384_public[] = "-----BEGIN PUBLIC KEY-----\n"
                                  "MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEM1B2y+9V2GAbiH7QmKkgheQ2qO2SVa2S\n"
                                  "gMHoBk/K803WhDrCGJOwSwuiEV07n5vxJiK/P/1wjlIjp/RpyvRefgHFbLtlAnnp\n"
                                  "VqMoeIzSBRdL3KRYOLykyZtkd9DM56ZT\n"
                                  "-----END PUBLIC KEY-----\n";

#endif
