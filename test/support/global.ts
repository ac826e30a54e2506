/*
 * What mocha does once, after all files, in whichever processes they ran: the databases' server is stopped. It has to
 * be here, since those processes share it and none knows whether it is the last.
 */
import { stopTestServer } from './postgresql.ts';

export const mochaGlobalTeardown = stopTestServer;
