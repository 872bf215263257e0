/** Options of `safelight doctor`, with the meaning that they have for `safelight serve`. */
export interface DoctorOptions {
  /** The server's data folder. */
  readonly data?: string;
  /** The server's folder of models. */
  readonly models?: string;
  readonly port?: number;
}
