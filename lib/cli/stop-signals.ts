/**
 * Signals that ask the program to stop: Ctrl-C and SIGTERM. Windows has no SIGTERM, which Node.js answers there by ending the
 * process; service managers send Ctrl-Break (SIGBREAK), and closing the console window is SIGHUP.
 */
export const STOP_SIGNALS: readonly NodeJS.Signals[] =
  process.platform === 'win32' ? ['SIGINT', 'SIGBREAK', 'SIGHUP'] : ['SIGINT', 'SIGTERM'];
