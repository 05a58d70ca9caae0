import type { Command } from 'commander'
export function registerFinetune(_program: Command): void {}
